"""Brings a volume onto a common grid: field of view, voxel size, shape and intensity.

    RAS volume -> box around the head -> resampled to voxel_size_mm and shape
               -> z-scored inside a mask

Scans are not registered. The box is centred on the foreground left-right and front-back, and hangs
from the top of the head, so that the length of neck in the field of view does not matter.
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

from fedbrain.data.nifti import ImageError, Volume

VERSION = 1  # part of every cache fingerprint: raise it when the maths here changes
Grid = Float[np.ndarray, "x y z"]
Sampled = Float[np.ndarray, "i j k"]


class Recipe(NamedTuple):
    """How scans are prepared. Everything here is part of the cache fingerprint."""

    voxel_size_mm: float = 3.0
    shape: tuple[int, int, int] = (64, 72, 64)  # right-left, front-back, up-down
    # `foreground` (Otsu), `nonzero` (brain-extracted images), or `<pipeline>/<suffix>`
    mask: str = "foreground"


def conform_recipe(
    voxel_size_mm: float = 3.0, shape: tuple[int, ...] = (64, 72, 64), mask: str = "foreground"
) -> Recipe:
    """A recipe for `prepare`.

    Args:
      voxel_size_mm: edge of the cubic voxels.
      shape: voxels right-left, front-back and up-down.
      mask: `foreground` (Otsu), `nonzero` (brain-extracted images), or `<pipeline>/<suffix>`.
    """
    if not voxel_size_mm > 0 or len(shape) != 3 or min(shape) < 1:
        raise ValueError(
            f"Expected voxel_size_mm > 0 and three axes >= 1, got {voxel_size_mm} and {shape}."
        )
    return Recipe(float(voxel_size_mm), (int(shape[0]), int(shape[1]), int(shape[2])), mask)


RECIPES = {"conform": conform_recipe}


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


def resample(
    data: Grid, voxel_size_mm: np.ndarray, centre_mm: np.ndarray, recipe: Recipe
) -> Sampled:
    """Samples `recipe.shape` voxels of `recipe.voxel_size_mm` around a centre.

    Beyond the edge, edge voxels are repeated. Where voxels grow, a Gaussian whose SD is half the
    growth removes the detail that the new grid cannot hold.

    >>> recipe = Recipe(voxel_size_mm=2.0, shape=(4, 5, 6))
    >>> resample(np.ones((9, 9, 9), np.float32), np.ones(3), np.full(3, 4.0), recipe).shape
    (4, 5, 6)
    """
    zoom = recipe.voxel_size_mm / voxel_size_mm
    if (zoom > 1).any():
        sd = np.where(zoom > 1, 0.5 * (zoom - 1), 0)
        data = ndimage.gaussian_filter(data, sd, mode="nearest")
    shape = np.asarray(recipe.shape)
    offset: Any = centre_mm / voxel_size_mm - zoom * (shape - 1) / 2
    return ndimage.affine_transform(
        data, zoom, offset, recipe.shape, order=1, mode="nearest", prefilter=False
    )


def z_score(data: Grid, mask: Bool[np.ndarray, "x y z"]) -> Grid:
    """(x - mean) / SD, both inside the mask, clamped to [-5, 5]."""
    inside = data[mask]
    sd = inside.std(dtype=np.float64)
    if not sd > 0:
        raise ImageError("expected contrast inside the mask, got one grey value")
    return np.clip((data - inside.mean(dtype=np.float64)) / sd, -5, 5).astype(np.float32)


def onto(follower: Volume, reference: Volume) -> Grid:
    """A second image of the same head on the grid of the first, by both headers' affines."""
    move = np.linalg.inv(follower.affine) @ reference.affine
    offset: Any = move[:3, 3]
    return ndimage.affine_transform(
        follower.data, move[:3, :3], offset, reference.data.shape, order=1, prefilter=False
    )


def conform(
    volume: Volume,
    recipe: Recipe,
    brain: Bool[np.ndarray, "x y z"] | None = None,
    follower: Volume | None = None,
) -> Sampled:
    """Applies a recipe.

    Args:
      volume: the image.
      recipe: see `Recipe`.
      brain: a mask on the volume's grid; needed when `recipe.mask` names a derivative. Outside it
        the result is 0.
      follower: another modality of the same session. It is returned instead, in the field of view
        and the mask of `volume`.

    Raises:
      ImageError: for an empty mask, or without contrast inside it.
    """
    voxel = np.asarray(volume.voxel_size_mm)
    if brain is None and recipe.mask == "nonzero":
        brain = volume.data > 0
    if brain is None:
        extent = recipe.voxel_size_mm * np.asarray(recipe.shape)
        centre = head_box_mm(foreground(volume.data), voxel, extent)
    elif brain.any():
        centre = centre_of(brain) * voxel
    else:
        raise ImageError("expected a brain inside the mask, got an empty mask")
    data = resample(volume.data, voxel, centre, recipe)
    if brain is None:
        inside = foreground(data)
    else:
        inside = resample(brain.astype(np.float32), voxel, centre, recipe) > 0.5
    if not inside.any():
        raise ImageError("expected the brain inside the field of view, got none of it")
    if follower is not None:
        data = resample(onto(follower, volume), voxel, centre, recipe)
    scored = z_score(data, inside)
    return scored if brain is None else np.where(inside, scored, np.float32(0))


def centre_of(mask: Bool[np.ndarray, "x y z"]) -> np.ndarray:
    """The middle of the first and the last voxel of a mask along each axis, in voxels."""
    ends = [np.flatnonzero(mask.any(tuple({0, 1, 2} - {axis})))[[0, -1]] for axis in range(3)]
    return np.asarray([0.5 * (first + last) for first, last in ends])
