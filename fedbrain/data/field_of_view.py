"""Where the head and the brain are in a volume, and where the box around them lies."""

import numpy as np
from jaxtyping import Bool, Float

Grid = Float[np.ndarray, "x y z"]


def otsu_threshold(values: Float[np.ndarray, " n"], bins: int = 256) -> float:
    """The grey value that best splits a histogram in two: the largest between-class variance.

    >>> float(otsu_threshold(np.array([0.0, 1.0, 9.0, 10.0]), bins=10))
    2.0

    References:
      Otsu (1979), https://doi.org/10.1109/TSMC.1979.4310076
    """
    counts, edges = np.histogram(values, bins)
    centres = 0.5 * (edges[1:] + edges[:-1])
    below = np.cumsum(counts)
    above = below[-1] - below
    moment = np.cumsum(counts * centres)
    mean_below = moment / np.maximum(below, 1)
    mean_above = (moment[-1] - moment) / np.maximum(above, 1)
    return float(edges[1:][np.argmax(below * above * (mean_below - mean_above) ** 2)])


def foreground(data: Grid) -> Bool[np.ndarray, "x y z"]:
    """Voxels of tissue: above Otsu's threshold, after clipping the brightest 0.5 %."""
    clipped = np.minimum(data, np.percentile(data, 99.5))
    mask = clipped > otsu_threshold(clipped.ravel())
    return mask if mask.any() else data > data.min()


def head_box_mm(
    mask: Bool[np.ndarray, "x y z"], voxel_size_mm: np.ndarray, extent_mm: np.ndarray
) -> np.ndarray:
    """Centre, in mm of the RAS grid, of a box of `extent_mm` below the top of the head."""
    depth = max(1, int(extent_mm[2] / voxel_size_mm[2]))
    slices = np.flatnonzero(mask.mean((0, 1)) > 0.01)
    top = int(slices[-1]) if slices.size else mask.shape[2] - 1
    head = mask[:, :, max(0, top - depth) : top + 1]
    centre = np.empty(3)
    for axis in (0, 1):
        profile = head.any(2).sum(1 - axis).cumsum()
        edges = np.searchsorted(profile, [0.02 * profile[-1], 0.98 * profile[-1]])
        centre[axis] = 0.5 * edges.sum()
    centre[2] = top + 0.5 - 0.5 * extent_mm[2] / voxel_size_mm[2]
    return centre * voxel_size_mm


def brain_centre_mm(
    mask: Bool[np.ndarray, "x y z"], voxel_size_mm: Float[np.ndarray, "3"]
) -> Float[np.ndarray, "3"]:
    """Middle of the brain along each axis, in mm of the RAS grid: halfway between the planes that
    cut off 2 % of it on either side.

    The planes lie between voxels, so that small and large voxels give the same middle.
    """
    centre = np.empty(3)
    for axis in range(3):
        volume = mask.sum(tuple({0, 1, 2} - {axis})).cumsum() / mask.sum()
        edges = np.arange(mask.shape[axis] + 1) - 0.5
        centre[axis] = np.interp([0.02, 0.98], np.concatenate([[0], volume]), edges).mean()
    return centre * voxel_size_mm
