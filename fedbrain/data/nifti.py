"""Reads one NIfTI volume: RAS order, float32, header slopes applied."""

import gzip
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import nibabel as nib
import numpy as np
from jaxtyping import Float
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError

MAX_NON_FINITE = (
    0.1  # of the voxels; arbitrary: a few bad voxels are background, many are a broken file
)


class ImageError(ValueError):
    """An image that cannot be used. The message names the file, what was expected, what came and
    what to do.
    """


class Volume(NamedTuple):
    """An image in RAS order: axis 0 to the right, axis 1 to the front, axis 2 up."""

    data: Float[np.ndarray, "x y z"]  # float32
    affine: Float[np.ndarray, "4 4"]  # voxel index -> mm
    voxel_size_mm: tuple[float, float, float]
    non_finite: int = 0  # voxels that were NaN or infinite and are now 0
    oriented: bool = True  # False: the header has neither sform nor qform, and LAS order is assumed


def require_file(path: Path) -> None:
    """Raises ImageError for a missing, linked-to-nowhere or empty file."""
    if path.is_symlink() and not path.exists():
        raise ImageError(
            f"{path}: the file is a link to content that is not here (git-annex). Run 'datalad get"
            f" {path.name}'."
        )
    if not path.is_file():
        raise ImageError(f"{path}: expected a file, got nothing there.")
    if path.stat().st_size == 0:
        raise ImageError(
            f"{path}: expected an image, got 0 bytes (git-annex link? run 'datalad get"
            f" {path.name}')."
        )


def read_volume(path: Path) -> Volume:
    """Reads `.nii` or `.nii.gz`, NIfTI-1 or -2, either byte order.

    Trailing axes of length 1 are dropped; NaN and infinite voxels become 0 and are counted.

    Raises:
      ImageError: for a file that is missing, empty, truncated, not NIfTI, not 3-D, not real-valued,
        without a usable affine, constant, or more than 10 % non-finite.
    """
    require_file(path)
    try:
        image = _load(path)
        data = _three_dimensional(path, image)
        affine, data = _to_ras(path, image.affine, np.asarray(data))
    except (ImageFileError, HeaderDataError) as error:
        raise ImageError(
            f"{path}: expected a NIfTI image, got something else ({_first_line(error)})."
        ) from None
    except (EOFError, zlib.error, OSError, ValueError) as error:
        if isinstance(error, ImageError):
            raise
        raise ImageError(
            f"{path}: the file is damaged or cut short ({_first_line(error)}). Fetch it again."
        ) from None
    finite = np.isfinite(data)
    non_finite = int(data.size - finite.sum())
    if non_finite > MAX_NON_FINITE * data.size:
        raise ImageError(
            f"{path}: expected finite voxels, got {non_finite} of {data.size} NaN or infinite."
        )
    if non_finite:
        data = np.where(finite, data, np.float32(0))
    if data.min() == data.max():
        raise ImageError(f"{path}: expected an image with contrast, got {data.flat[0]} everywhere.")
    x, y, z = (float(v) for v in np.linalg.norm(affine[:3, :3], axis=0))
    oriented = bool(image.header["sform_code"] or image.header["qform_code"])
    return Volume(data, affine, (x, y, z), non_finite, oriented)


def _load(path: Path) -> Any:
    """Decompresses the whole file, so that gzip checks its sum: a lazy reader stops before it and
    misses damage.
    """
    content = path.read_bytes()
    if content[:2] == b"\x1f\x8b":
        content = gzip.decompress(content)
    kinds = {348: nib.Nifti1Image, 540: nib.Nifti2Image}
    for order in ("little", "big"):
        kind = kinds.get(int.from_bytes(content[:4], order))
        if kind is not None:
            return kind.from_bytes(content)
    raise ImageFileError("no NIfTI header")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].removesuffix(".")


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
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
        raise ImageError(
            f"{path}: expected an affine with three independent axes, got {affine[:3].tolist()}."
        )
    orientation = nib.io_orientation(affine)
    affine = affine @ nib.orientations.inv_ornt_aff(orientation, data.shape)
    return affine, np.ascontiguousarray(nib.orientations.apply_orientation(data, orientation))
