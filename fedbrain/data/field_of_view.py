"""Where the head and the brain are in a volume, and where the box around them lies."""

import numpy as np
from jaxtyping import Bool, Float, Int

Grid = Float[np.ndarray, "x y z"]
PIECE = 1 << 16  # values that are counted at once: they stay in the processor's cache


def histogram(
    values: Float[np.ndarray, " n"], bins: int
) -> tuple[Int[np.ndarray, " bins"], Float[np.ndarray, " edges"]]:
    """(counts, edges) of bins of one width, as `numpy.histogram` gives them; the division alone is
    rounded.

    >>> histogram(np.array([0.0, 1.0, 9.0, 10.0]), 2)[0].tolist()
    [2, 2]
    """
    low, high = values.min(), values.max()
    counts = np.zeros(bins + 1, int)
    for start in range(0, values.size, PIECE):
        places = values[start : start + PIECE] - low
        places /= (high - low) / bins
        counts += np.bincount(places.astype(np.intp), minlength=bins + 1)
    counts[-2] += counts[-1]  # the largest value belongs to the last bin
    return counts[:-1], np.linspace(low, high, bins + 1)


def otsu_threshold(values: Float[np.ndarray, " n"], bins: int = 256) -> float:
    """The grey value that best splits a histogram in two: the largest between-class variance.

    >>> float(otsu_threshold(np.array([0.0, 1.0, 9.0, 10.0]), bins=10))
    2.0

    References:
      Otsu (1979), https://doi.org/10.1109/TSMC.1979.4310076
    """
    if values.min() == values.max():
        return float(values.max())
    counts, edges = histogram(values, bins)
    centres = 0.5 * (edges[1:] + edges[:-1])
    below = np.cumsum(counts)
    above = below[-1] - below
    moment = np.cumsum(counts * centres)
    mean_below = moment / np.maximum(below, 1)
    mean_above = (moment[-1] - moment) / np.maximum(above, 1)
    return float(edges[1:][np.argmax(below * above * (mean_below - mean_above) ** 2)])


def upper_quantile(values: Float[np.ndarray, " n"], share: float) -> float:
    """What a share of the values exceeds: `numpy.quantile`, of the largest values alone.

    >>> upper_quantile(np.arange(101.0), 0.1)
    90.0
    """
    rough = np.quantile(values[::16], 1 - 2 * share)  # most likely below it
    largest = np.sort(values[values > rough])
    place = (values.size - 1) * (1 - share) - (values.size - largest.size)
    if place < 0:
        return float(np.quantile(values, 1 - share))
    return float(np.interp(place, np.arange(largest.size), largest))


def foreground(data: Grid) -> Bool[np.ndarray, "x y z"]:
    """Voxels of tissue: above Otsu's threshold, after clipping the brightest 0.5 %."""
    values = data.ravel()
    clipped = np.minimum(values, np.float32(upper_quantile(values, 0.005)))
    mask = data > otsu_threshold(clipped)
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
