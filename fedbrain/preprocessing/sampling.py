"""From a native image to the grid in MNI space, by one interpolation."""

from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

from fedbrain.data.conform import mean_inside
from fedbrain.preprocessing.template import Grid

Native = Float[np.ndarray, "x y z"]
Sampled = Float[np.ndarray, "i j k"]
Matrix = Float[np.ndarray, "4 4"]


def sample(data: Native, to_mni: Matrix, grid: Grid) -> Sampled:
    """Linear interpolation; 0 where the image has no voxels.

    Where voxels grow, a Gaussian whose SD is half the growth removes the detail that the grid
    cannot hold.

    Args:
      data: in any orientation.
      to_mni: voxel index -> mm in MNI space.
      grid: that is filled.

    >>> grid = Grid(2.0, (3, 4, 5), (0.0, 0.0, 0.0))
    >>> sample(np.ones((9, 9, 9), np.float32), np.eye(4), grid).shape
    (3, 4, 5)
    """
    move = np.linalg.inv(to_mni) @ grid.affine
    offset: Any = move[:3, 3]
    growth = np.linalg.norm(move[:3, :3], axis=1) - 1
    smooth = ndimage.gaussian_filter(data, np.maximum(0, 0.5 * growth), mode="constant")
    return ndimage.affine_transform(
        smooth, move[:3, :3], offset, grid.shape, order=1, mode="grid-constant"
    )


def sample_brain(
    data: Native, brain: Bool[np.ndarray, "x y z"], to_mni: Matrix, grid: Grid
) -> tuple[Sampled, Bool[np.ndarray, "i j k"]]:
    """(the image averaged over voxels of the brain alone, 0 outside; where the brain is).

        y = S(m x) / S(m) where S(m) > 1/2, with S the sampling

    Args:
      data: in any orientation.
      brain: on the same voxels.
      to_mni: voxel index -> mm in MNI space.
      grid: that is filled.
    """
    share = sample(brain.astype(np.float32), to_mni, grid)
    total = sample(np.where(brain, data, np.float32(0)), to_mni, grid)
    return mean_inside(total, share)
