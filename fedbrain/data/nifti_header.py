"""What a NIfTI header says about space: its unit, its two affines, and where they disagree."""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from fedbrain.data.nifti_file import ImageError

MM = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}  # code of `xyzt_units` -> mm; 0: not said
UNIT_NAMES = {0: "unknown", 1: "metre", 2: "mm", 3: "micron"}
# of a voxel's edge, in mm; arbitrary, and far outside what a scanner of heads makes
SMALLEST_MM, LARGEST_MM = 0.02, 100.0
FORMS_AGREE_MM = 1.0  # sform and qform that place every corner this close say the same


def _unit(image: Any) -> int:
    return int(image.header["xyzt_units"]) & 0x07


def mm_per_unit(header: Any) -> float:
    """Length of a header's unit; what is not said, or not a length, counts as mm."""
    return MM.get(int(header["xyzt_units"]) & 0x07, 1.0)


def affine_in_mm(path: Path, image: Any, in_file: Any) -> Float[np.ndarray, "4 4"]:
    """The affine from voxel index to mm; sform where it is set, otherwise qform.

    Args:
      path: of the file.
      image: as nibabel reads it; it takes a voxel size of 0 for 1.
      in_file: the header as it is in the file.

    Raises:
      ImageError: when the voxel size is not known, or is not one of a scan of a head.
    """
    if not image.header["sform_code"] and not in_file["pixdim"][1:4].all():
        raise ImageError(
            f"{path}: expected a voxel size, got pixdim 0 and no sform. Correct the header."
        )
    affine = np.diag([MM.get(_unit(image), 1.0)] * 3 + [1.0]) @ image.affine
    edges = np.linalg.norm(affine[:3, :3], axis=0)
    usable = np.isfinite(edges).all() and edges.min() > 0  # others are refused with the affine
    if usable and not SMALLEST_MM <= edges.min() <= edges.max() <= LARGEST_MM:
        raise ImageError(
            f"{path}: expected voxels of {SMALLEST_MM:g} to {LARGEST_MM:g} mm, got"
            f" {' x '.join(f'{e:g}' for e in edges)} mm in the header's unit"
            f" {UNIT_NAMES.get(_unit(image), 'unknown')!r} (xyzt_units). Correct the header."
        )
    return affine


def header_notes(image: Any) -> dict[str, str]:
    """Kind -> what is peculiar in a header, without the name of the file."""
    notes = {}
    unit = _unit(image)
    if MM.get(unit, 1.0) != 1.0:
        notes["unit that is not mm"] = (
            f"the header's unit is {UNIT_NAMES[unit]}; sizes were converted to mm"
        )
    apart = forms_apart_mm(image)
    if apart > FORMS_AGREE_MM:
        notes["sform and qform disagree"] = (
            f"they place a corner up to {apart:.1f} mm apart; the sform was used"
        )
    return notes


def forms_apart_mm(image: Any) -> float:
    """The largest distance between the places that sform and qform give to a corner of the image; 0
    where one is not set.
    """
    header = image.header
    if not (header["sform_code"] and header["qform_code"]):
        return 0.0
    sform, qform = header.get_sform(), header.get_qform()
    return MM.get(_unit(image), 1.0) * corners_apart(sform, qform, image.shape[:3])


def corners_apart(
    one: Float[np.ndarray, "4 4"], other: Float[np.ndarray, "4 4"], shape: tuple[int, ...]
) -> float:
    """The largest distance between the places that two affines give to a corner of a grid."""
    last = [n - 1 for n in shape]
    corners = np.asarray(np.meshgrid(*[(0, n) for n in last], [1], indexing="ij")).reshape(4, -1)
    distance = float(np.linalg.norm(((one - other) @ corners)[:3], axis=0).max())
    return distance if np.isfinite(distance) else np.inf
