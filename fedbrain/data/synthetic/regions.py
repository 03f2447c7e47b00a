"""Voxels of a prepared volume that change with a synthetic label: a reference for saliency maps."""

import numpy as np
from jaxtyping import Bool, Float

from fedbrain.data.conform import resample_inside, z_score
from fedbrain.data.field_of_view import brain_centre_mm
from fedbrain.data.recipes import Recipe
from fedbrain.data.synthetic.anatomy import VOXEL_MM, atlas, expected_volumes, grow_old
from fedbrain.data.synthetic.people import Scanner
from fedbrain.data.synthetic.render import MODALITIES

Grid = Float[np.ndarray, "x y z"]


def _prepared(
    grid: Grid, recipe: Recipe
) -> tuple[Float[np.ndarray, "d h w"], Bool[np.ndarray, "d h w"]]:
    """(a map of the atlas inside the average brain, the average brain) as prepared volumes are."""
    brain = atlas().brain > 0
    voxel = np.full(3, VOXEL_MM)
    centre_mm = brain_centre_mm(brain, voxel)
    return resample_inside(grid.astype(np.float32), brain, voxel, centre_mm, recipe)


def brain_region(recipe: Recipe) -> Bool[np.ndarray, "d h w"]:
    """Voxels of the average brain."""
    return _prepared(atlas().brain, recipe)[1]


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
        return z_score(_prepared(mixed, recipe)[0], brain)

    return np.abs(image(old_years) - image(young_years)) * brain
