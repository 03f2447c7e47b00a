"""Reads one NIfTI volume: RAS order, float32, mm, header slopes applied."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import nibabel as nib
import numpy as np
from jaxtyping import Bool, Float

from fedbrain.data.geometry import without_shear
from fedbrain.data.nifti_file import ImageError, read_image, require_file, sentence
from fedbrain.data.nifti_header import affine_in_mm, header_notes

MAX_NON_FINITE = (
    0.1  # of the voxels; arbitrary: a few bad voxels are background, many are a broken file
)
MIN_NAN_BORDER = 0.9  # of the voxels on the six faces: then NaN is how the file writes background
NO_NOTES: Mapping[str, str] = {}


class Volume(NamedTuple):
    """An image in RAS order: axis 0 to the right, axis 1 to the front, axis 2 up."""

    data: Float[np.ndarray, "x y z"]  # float32
    affine: Float[np.ndarray, "4 4"]  # voxel index -> mm
    voxel_size_mm: tuple[float, float, float]
    non_finite: int = 0  # voxels that were NaN or infinite and are now 0
    oriented: bool = True  # False: the header has neither sform nor qform, and LAS order is assumed
    notes: Mapping[str, str] = NO_NOTES  # further peculiarities: kind -> what it is


def read_volume(path: Path, *, labels: bool = False) -> Volume:
    """Reads `.nii` or `.nii.gz`, NIfTI-1 or -2, either byte order.

    Trailing axes of length 1 are dropped; NaN and infinite voxels become 0 and are counted. Axes
    that are not at right angles (gantry tilt) are straightened.

    Args:
      path: of the file.
      labels: voxels are labels or a mask: they are never averaged.

    Raises:
      ImageError: for a file that cannot be read, is missing, empty, truncated, not NIfTI, not 3-D,
        not real-valued, without a usable affine or voxel size, constant, or more than 10 %
        non-finite where that is not its background.
    """
    require_file(path)
    try:
        image, in_file = read_image(path)
        data = _three_dimensional(path, image)
        affine, data = _to_ras(path, affine_in_mm(path, image, in_file), np.asarray(data))
        notes = header_notes(image)
    except Exception as error:  # a damaged file can raise anything
        raise ImageError(sentence(path, error)) from None
    data, non_finite = _finite(path, data, notes)
    if data.min() == data.max():
        raise ImageError(f"{path}: expected an image with contrast, got {data.flat[0]} everywhere.")
    data, affine, angle = without_shear(data, affine, order=0 if labels else 1)
    if angle:
        notes["axes that are not at right angles"] = (
            f"the axes are sheared by {angle:.1f} degrees (gantry tilt?); they were straightened"
        )
    x, y, z = (float(v) for v in np.linalg.norm(affine[:3, :3], axis=0))
    oriented = bool(image.header["sform_code"] or image.header["qform_code"])
    return Volume(data, affine, (x, y, z), non_finite, oriented, notes)


def _three_dimensional(path: Path, image: Any) -> np.ndarray:
    shape = image.shape
    if len(shape) < 3 or 0 in shape or any(n != 1 for n in shape[3:]):
        raise ImageError(
            f"{path}: expected one 3-D volume, got shape {shape}. Extract or average the volumes"
            " first."
        )
    dtype = image.get_data_dtype()
    if dtype.fields is not None or np.issubdtype(dtype, np.complexfloating):
        raise ImageError(f"{path}: expected real voxels, got {dtype} (colour or complex).")
    data = np.asanyarray(image.dataobj)
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(data, np.float32).reshape(shape[:3])


def _to_ras(path: Path, affine: np.ndarray, data: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if not np.isfinite(affine).all() or not _independent(affine[:3, :3]):
        raise ImageError(
            f"{path}: expected an affine with three independent axes, got {affine[:3].tolist()}."
        )
    orientation = nib.io_orientation(affine)
    affine = affine @ nib.orientations.inv_ornt_aff(orientation, data.shape)
    return affine, np.ascontiguousarray(nib.orientations.apply_orientation(data, orientation))


def _independent(axes: np.ndarray) -> bool:
    """Whether three axes span a space; axes at less than 6 degrees to a common plane do not."""
    lengths = np.linalg.norm(axes, axis=0)
    return bool(lengths.min() > 0 and abs(np.linalg.det(axes / lengths)) > 0.1)


def _finite(path: Path, data: np.ndarray, notes: dict[str, str]) -> tuple[np.ndarray, int]:
    """(data with 0 for what is not finite, how many voxels these are)."""
    finite = np.isfinite(data)
    non_finite = int(data.size - finite.sum())
    if not non_finite:
        return data, 0
    if _is_background(~finite):
        share = non_finite / data.size
        notes["NaN as background"] = f"{share:.0%} of the voxels are NaN, all around; they became 0"
    elif non_finite > MAX_NON_FINITE * data.size:
        raise ImageError(
            f"{path}: expected finite voxels, got {non_finite} of {data.size} NaN or infinite."
        )
    return np.where(finite, data, np.float32(0)), non_finite


def _is_background(missing: Bool[np.ndarray, "x y z"]) -> bool:
    faces = [np.take(missing, [0, -1], axis).ravel() for axis in range(3)]
    return not missing.all() and float(np.concatenate(faces).mean()) >= MIN_NAN_BORDER
