"""Which voxels of a prepared volume a synthetic label changes: the truth that saliency maps can be held against."""

import numpy as np
from jaxtyping import Bool, Float

from fedbrain.data.conform import Recipe, resample
from fedbrain.data.synthetic.anatomy import VOXEL_MM, atlas, expected_volumes, grow_old

Grid = Float[np.ndarray, "x y z"]


def _prepared(grid: Grid, recipe: Recipe) -> Float[np.ndarray, "d h w"]:
    ends = [np.flatnonzero(atlas().brain.any(tuple({0, 1, 2} - {axis})))[[0, -1]] for axis in range(3)]
    centre_mm = np.asarray([0.5 * (first + last) for first, last in ends]) * VOXEL_MM
    return resample(grid.astype(np.float32), np.full(3, VOXEL_MM), centre_mm, recipe)


def brain_region(recipe: Recipe) -> Bool[np.ndarray, "d h w"]:
    """The average brain."""
    return _prepared(atlas().brain, recipe) > 0.5


def ageing_region(recipe: Recipe, young_years: float = 25.0, old_years: float = 75.0) -> Bool[np.ndarray, "d h w"]:
    """Where an average brain loses tissue to fluid between two ages: ventricles and sulci.

    A tenth of the voxel must turn to fluid, for a person in the middle of the pose and size that `render` draws. The
    contrast of white matter fades everywhere as well; it is not counted.
    """
    young, old = (grow_old(*expected_volumes(age)).csf for age in (young_years, old_years))
    return (_prepared(old - young, recipe) > 0.1) & brain_region(recipe)
