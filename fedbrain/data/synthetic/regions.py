"""Which voxels of a prepared volume a synthetic label changes: the truth that saliency maps can be
held against.
"""

import numpy as np
from jaxtyping import Bool, Float

from fedbrain.data.conform import Recipe, resample, z_score
from fedbrain.data.synthetic.anatomy import VOXEL_MM, atlas, expected_volumes, grow_old
from fedbrain.data.synthetic.people import Scanner
from fedbrain.data.synthetic.render import MODALITIES

Grid = Float[np.ndarray, "x y z"]


def _prepared(grid: Grid, recipe: Recipe) -> Float[np.ndarray, "d h w"]:
    ends = [
        np.flatnonzero(atlas().brain.any(tuple({0, 1, 2} - {axis})))[[0, -1]] for axis in range(3)
    ]
    centre_mm = np.asarray([0.5 * (first + last) for first, last in ends]) * VOXEL_MM
    return resample(grid.astype(np.float32), np.full(3, VOXEL_MM), centre_mm, recipe)


def brain_region(recipe: Recipe) -> Bool[np.ndarray, "d h w"]:
    """The average brain."""
    return _prepared(atlas().brain, recipe) > 0.5


def change_with_age(
    recipe: Recipe, scanner: Scanner, young_years: float = 25.0, old_years: float = 75.0
) -> Float[np.ndarray, "d h w"]:
    """|change| of the z-scored grey value of an average person between two ages, 0 outside the
    brain.
    """
    brain, images = brain_region(recipe), []
    for age in (young_years, old_years):
        tissues, grey = grow_old(*expected_volumes(age)), MODALITIES["T1w"](scanner, age)
        image = (
            tissues.csf * np.float32(grey.csf)
            + tissues.gm * np.float32(grey.gm)
            + tissues.wm * np.float32(grey.wm)
        )
        images.append(z_score(_prepared(image, recipe), brain))
    return np.abs(images[1] - images[0]) * brain
