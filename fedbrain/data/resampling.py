"""Samples a volume on a grid with the same axes, one axis after the other.

Along an axis a new voxel is a weighted sum of a few old ones: linear interpolation, after a
Gaussian where voxels grow. Only old voxels that a new one needs are read.
"""

from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int

Grid = Float[np.ndarray, "x y z"]
Sampled = Float[np.ndarray, "i j k"]
Beyond = Literal["edge", "zero"]  # what lies outside the data: its edge voxels repeated, or zeros
GAUSSIAN_ENDS = 4.0  # SDs; as in scipy.ndimage


class Taps(NamedTuple):
    """Along one axis: y[i] = sum over k of weights[i, k] x[voxels[i, k]]."""

    voxels: Int[np.ndarray, "new taps"]
    weights: Float[np.ndarray, "new taps"]


def gaussian(sd: float) -> Float[np.ndarray, " n"]:
    """Weights of a Gaussian that sum to 1; one weight for an SD below an eighth of a voxel.

    >>> gaussian(0.5).round(3).tolist()
    [0.0, 0.106, 0.787, 0.106, 0.0]
    """
    reach = int(GAUSSIAN_ENDS * sd + 0.5)
    if reach == 0:
        return np.ones(1)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sd) ** 2)
    return weights / weights.sum()


def taps_of(old: int, new: int, zoom: float, start: float, beyond: Beyond) -> Taps:
    """Where the new voxels of an axis come from.

    Args:
      old: number of voxels.
      new: likewise, of the new grid.
      zoom: edge of a new voxel, in old ones.
      start: place of the first new voxel, in old ones.
      beyond: see `Beyond`.

    >>> taps_of(3, 2, 1.0, 0.5, "edge").weights.tolist()
    [[0.5, 0.5], [0.5, 0.5]]
    """
    smooth = gaussian(max(0.0, 0.5 * (zoom - 1)))
    reach = len(smooth) // 2
    place = start + zoom * np.arange(new)
    place = np.clip(place, 0, old - 1) if beyond == "edge" else place
    below = np.floor(place).astype(int)
    share = np.stack([1 - (place - below), place - below])  # of the voxel below, and above
    if beyond == "zero":
        inside = [(voxel >= 0) & (voxel < old) for voxel in (below, below + 1)]
        share = np.where(inside, share, 0)
    weights = np.zeros((new, len(smooth) + 1))
    weights[:, :-1] += share[0][:, None] * smooth
    weights[:, 1:] += share[1][:, None] * smooth
    voxels = below[:, None] + np.arange(-reach, reach + 2)
    if beyond == "zero":
        weights[(voxels < 0) | (voxels >= old)] = 0
    return Taps(np.clip(voxels, 0, old - 1), weights.astype(np.float32))


def sample_axis(data: Grid, axis: int, taps: Taps) -> Sampled:
    """One axis of a volume on its new grid.

    >>> taps = taps_of(3, 2, 1.0, 0.5, "edge")
    >>> sample_axis(np.arange(3, dtype=np.float32)[None, None], 2, taps).ravel().tolist()
    [0.5, 1.5]
    """
    shape = [1, 1, 1]
    shape[axis] = -1
    total = np.zeros(1, np.float32)
    for voxels, weights in zip(taps.voxels.T, taps.weights.T):
        part = data.take(voxels, axis=axis)
        part *= weights.reshape(shape)
        total = np.add(total, part, out=part)
    return total


def sample_grid(
    data: Grid,
    zoom: Float[np.ndarray, "3"],
    start: Float[np.ndarray, "3"],
    shape: tuple[int, int, int],
    beyond: Beyond,
) -> Sampled:
    """A volume on another grid; axes that lose most voxels come first.

    Args:
      data: float32.
      zoom: edges of a new voxel, in old ones.
      start: place of the first new voxel, in old ones.
      shape: of the new grid.
      beyond: see `Beyond`.

    >>> data = np.arange(27, dtype=np.float32).reshape(3, 3, 3)
    >>> sample_grid(data, np.full(3, 2.0), np.zeros(3), (1, 1, 1), "zero").shape
    (1, 1, 1)
    """
    for axis in sorted(range(3), key=lambda axis: shape[axis] / data.shape[axis]):
        old, new = data.shape[axis], shape[axis]
        taps = taps_of(old, new, float(zoom[axis]), float(start[axis]), beyond)
        data = sample_axis(data, axis, taps)
    return data
