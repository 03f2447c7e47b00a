"""Brings a volume onto a common grid: field of view, voxel size, shape and intensity.

    RAS volume -> box around the head -> resampled to voxel_size_mm and shape
               -> z-scored inside a mask

Scans are not registered here. The box of a whole head is centred on the foreground left-right and
front-back, and hangs from the top of the head, so that the length of neck in the field of view does
not matter. The box of a brain is centred on the brain, or on a point of the template that images
were registered to (`registered`).

Where there is a brain mask, only voxels of the brain are averaged into the new ones: the zeros
around an extracted brain would darken its rim, the more the smaller its voxels were.
"""

from typing import Any, cast

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

from fedbrain.data.field_of_view import brain_centre_mm, foreground, head_box_mm
from fedbrain.data.nifti import Volume
from fedbrain.data.nifti_file import ImageError
from fedbrain.data.prepared_file import LARGEST
from fedbrain.data.recipes import Recipe
from fedbrain.data.resampling import Beyond, Grid, Sampled, sample_grid

VERSION = 3  # part of every cache fingerprint: raise it when the maths here changes


def resample(
    data: Grid,
    voxel_size_mm: np.ndarray,
    centre_mm: np.ndarray,
    recipe: Recipe,
    *,
    beyond: Beyond = "edge",
) -> Sampled:
    """Samples `recipe.shape` voxels of `recipe.voxel_size_mm` around a centre.

    Where voxels grow, a Gaussian whose SD is half the growth removes the detail that the new grid
    cannot hold.

    Args:
      data: in RAS order.
      voxel_size_mm: of the data.
      centre_mm: of the new grid, from the middle of the first voxel.
      recipe: of the new grid.
      beyond: see `Beyond`.

    >>> recipe = Recipe(voxel_size_mm=2.0, shape=(4, 5, 6))
    >>> resample(np.ones((9, 9, 9), np.float32), np.ones(3), np.full(3, 4.0), recipe).shape
    (4, 5, 6)
    """
    zoom = recipe.voxel_size_mm / voxel_size_mm
    start = centre_mm / voxel_size_mm - zoom * (np.asarray(recipe.shape) - 1) / 2
    return sample_grid(data, zoom, start, recipe.shape, beyond)


def mean_inside(total: Sampled, share: Sampled) -> tuple[Sampled, Bool[np.ndarray, "i j k"]]:
    """(mean over the voxels inside a mask, 0 where less than half is inside; where that is not so).

    Args:
      total: sum of the grey values inside the mask, each by its part in the new voxel.
      share: sum of these parts.

    References:
      Knutsson and Westin (1993), normalized and differential convolution,
       https://doi.org/10.1109/CVPR.1993.341081
    """
    inside = share > 0.5
    return np.where(inside, total / np.where(inside, share, 1), np.float32(0)), inside


def resample_inside(
    data: Grid,
    mask: Bool[np.ndarray, "x y z"],
    voxel_size_mm: np.ndarray,
    centre_mm: np.ndarray,
    recipe: Recipe,
) -> tuple[Sampled, Bool[np.ndarray, "i j k"]]:
    """(data sampled from the voxels inside a mask alone, 0 outside; the mask sampled).

    y = S(m x) / S(m) where S(m) > 1/2, with S the sampling
    """
    share = resample(mask.astype(np.float32), voxel_size_mm, centre_mm, recipe, beyond="zero")
    grey = np.where(mask, data, np.float32(0))
    total = resample(grey, voxel_size_mm, centre_mm, recipe, beyond="zero")
    return mean_inside(total, share)


def z_score(data: Grid, mask: Bool[np.ndarray, "x y z"]) -> Grid:
    """(x - mean) / SD, both inside the mask, clamped to `LARGEST` SDs."""
    inside = data[mask]
    sd = inside.std(dtype=np.float64)
    if not sd > 0:
        raise ImageError("expected contrast inside the mask, got one grey value")
    scaled = (data - np.float32(inside.mean(dtype=np.float64))) / np.float32(sd)
    return np.clip(scaled, -LARGEST, LARGEST, out=scaled)


def onto(data: Grid, affine: Float[np.ndarray, "4 4"], reference: Volume) -> Sampled:
    """A second image of the same head on the grid of the first, by both headers' affines; 0 where
    it has no voxels.
    """
    move = np.linalg.inv(affine) @ reference.affine
    shape, offset = reference.data.shape, cast(Any, move[:3, 3])
    return ndimage.affine_transform(data, move[:3, :3], offset, shape, order=1, prefilter=False)


def onto_inside(follower: Volume, reference: Volume) -> tuple[Grid, Bool[np.ndarray, "x y z"]]:
    """(a brain-extracted second image on the grid of the first, where it has brain)."""
    own = (follower.data != 0).astype(np.float32)
    share = onto(own, follower.affine, reference)
    return mean_inside(onto(follower.data, follower.affine, reference), share)


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
    given = brain if brain is not None else (volume.data != 0 if recipe.mask == "nonzero" else None)
    if given is None:
        return _conform_head(volume, recipe, follower)
    if not given.any():
        raise ImageError("expected a brain inside the mask, got an empty mask")
    voxel = np.asarray(volume.voxel_size_mm)
    centre = _box_centre_mm(volume, recipe, given)
    data = volume.data if follower is None else onto(follower.data, follower.affine, volume)
    if follower is not None and recipe.mask == "nonzero":
        data, own = onto_inside(follower, volume)
        given = given & own
    sampled, inside = resample_inside(data, given, voxel, centre, recipe)
    if not inside.any():
        raise ImageError("expected the brain inside the field of view, got none of it")
    return np.where(inside, z_score(sampled, inside), np.float32(0))


def _box_centre_mm(
    volume: Volume, recipe: Recipe, brain: Bool[np.ndarray, "x y z"]
) -> Float[np.ndarray, "3"]:
    """From the middle of the first voxel, along the image's axes."""
    voxel = np.asarray(volume.voxel_size_mm)
    if recipe.centre_mm is None:
        return brain_centre_mm(brain, voxel)
    return (np.linalg.inv(volume.affine) @ [*recipe.centre_mm, 1.0])[:3] * voxel


def _conform_head(volume: Volume, recipe: Recipe, follower: Volume | None) -> Sampled:
    """A whole head, or another image of it in the field of view and the foreground of the first."""
    voxel = np.asarray(volume.voxel_size_mm)
    extent = recipe.voxel_size_mm * np.asarray(recipe.shape)
    centre = head_box_mm(foreground(volume.data), voxel, extent)
    sampled = resample(volume.data, voxel, centre, recipe)
    inside = foreground(sampled)
    if not inside.any():
        raise ImageError("expected the brain inside the field of view, got none of it")
    if follower is not None:
        other = onto(follower.data, follower.affine, volume)
        sampled = resample(other, voxel, centre, recipe)
    return z_score(sampled, inside)
