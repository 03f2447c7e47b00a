"""The template that scans are registered to, and the grid that they are sampled on.

Its head is the average of 152 heads (MNI152Lin of BIDS), its brain that of the ICBM 152 atlas: see
NOTICE.template.
"""

from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, cast

import nibabel as nib
import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

SPACE = "MNI152Lin"  # the name of the space in BIDS
WEIGHT_BEYOND_BRAIN_MM = 5.0  # arbitrary: the rim of the brain is what registration must see


class Template(NamedTuple):
    """A head in MNI space, in RAS order."""

    head: Float[np.ndarray, "x y z"]  # grey values, 0 to 1
    brain: Float[np.ndarray, "x y z"]  # probability of brain
    affine: Float[np.ndarray, "4 4"]  # voxel index -> mm


class Grid(NamedTuple):
    """Cubic voxels in MNI space, in RAS order."""

    voxel_size_mm: float
    shape: tuple[int, int, int]
    centre_mm: tuple[float, float, float]  # of the grid

    @property
    def affine(self) -> Float[np.ndarray, "4 4"]:
        """Voxel index -> mm."""
        affine = np.diag([self.voxel_size_mm] * 3 + [1.0])
        half = self.voxel_size_mm * (np.asarray(self.shape) - 1) / 2
        affine[:3, 3] = np.asarray(self.centre_mm) - half
        return affine


@cache
def template() -> Template:
    """The template that comes with fedbrain."""
    with np.load(Path(__file__).with_name("template.npz")) as file:
        head, brain = (file[name].astype(np.float32) for name in ("head", "brain"))
        return Template(head / head.max(), brain / 15, file["affine"])


def brain_centre_mm() -> tuple[float, float, float]:
    """The middle of the box around the template's brain, in mm, rounded.

    >>> brain_centre_mm()
    (0.0, -17.0, 4.0)
    """
    _, brain, affine = template()
    inside = np.argwhere(brain > 0.5)
    middle = affine[:3, :3] @ ((inside.min(0) + inside.max(0)) / 2) + affine[:3, 3]
    x, y, z = (round(float(v)) + 0.0 for v in middle)
    return x, y, z


def write_template(folder: Path) -> tuple[Path, Path]:
    """(head, weight of each voxel in registration: the brain and a rim around it), as NIfTI files
    for the program that registers.

    Args:
      folder: that exists.
    """
    head, brain, affine = template()
    outside, sizes_mm = brain <= 0.5, np.diag(affine)[:3].tolist()
    wide = cast(np.ndarray, ndimage.distance_transform_edt(outside, sampling=sizes_mm))
    weight = np.clip(1 - (wide - WEIGHT_BEYOND_BRAIN_MM) / WEIGHT_BEYOND_BRAIN_MM, 0, 1)
    paths = folder / "head.nii", folder / "weight.nii"
    for path, data in zip(paths, (head, weight)):
        nib.save(nib.Nifti1Image(data.astype(np.float32), affine), path)  # pyright: ignore
    return paths


def brain_on(shape: tuple[int, ...], to_mni: Float[np.ndarray, "4 4"]) -> Bool[np.ndarray, "x y z"]:
    """The template's brain on another grid.

    Args:
      shape: of the grid.
      to_mni: voxel index of the grid -> mm in MNI space.
    """
    _, brain, affine = template()
    move = np.linalg.inv(affine) @ to_mni
    return (
        ndimage.affine_transform(brain, move[:3, :3], cast(Any, move[:3, 3]), shape, order=1) > 0.5
    )
