"""Voxels of a prepared volume that change with a synthetic label: a reference for saliency maps."""

import numpy as np
from jaxtyping import Bool, Float

from fedbrain.data.conform import Recipe, centre_of, resample, z_score
from fedbrain.data.synthetic.anatomy import VOXEL_MM, atlas, expected_volumes, grow_old
from fedbrain.data.synthetic.people import Scanner
from fedbrain.data.synthetic.render import MODALITIES

Grid = Float[np.ndarray, "x y z"]


def _prepared(grid: Grid, recipe: Recipe) -> Float[np.ndarray, "d h w"]:
    """A map of the atlas on the grid of prepared volumes."""
    centre_mm = centre_of(atlas().brain > 0) * VOXEL_MM
    return resample(grid.astype(np.float32), np.full(3, VOXEL_MM), centre_mm, recipe)


def brain_region(recipe: Recipe) -> Bool[np.ndarray, "d h w"]:
    """Voxels of the average brain."""
    return _prepared(atlas().brain, recipe) > 0.5


def change_with_age(
    recipe: Recipe, scanner: Scanner, young_years: float = 25.0, old_years: float = 75.0
) -> Float[np.ndarray, "d h w"]:
    """|change| of an average person's z-scored grey value between two ages, 0 outside the brain.

    Args:
      recipe: of the prepared volumes.
      scanner: which one the T1w images are from.
      young_years: the first age.
      old_years: the second age.
    """
    brain = brain_region(recipe)

    def image(age_years: float) -> Float[np.ndarray, "d h w"]:
        tissues = grow_old(*expected_volumes(age_years))
        grey = MODALITIES["T1w"](scanner, age_years)
        csf, gm, wm = map(np.float32, (grey.csf, grey.gm, grey.wm))
        mixed = tissues.csf * csf + tissues.gm * gm + tissues.wm * wm
        return z_score(_prepared(mixed, recipe), brain)

    return np.abs(image(old_years) - image(young_years)) * brain
