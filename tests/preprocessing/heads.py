"""Heads whose place in MNI space is known: the template, turned, shifted and stretched."""

from pathlib import Path
from typing import Any, cast

import nibabel as nib
import numpy as np
from scipy import ndimage

from fedbrain.data.geometry import rotation
from fedbrain.preprocessing.template import template

TURN_DEGREES = (4.0, -3.0, 8.0)
SHIFT_MM = (3.0, -6.0, 9.0)
STRETCH = (1.05, 0.96, 1.08)


def to_mni() -> np.ndarray:
    """mm of the head's scanner -> mm in MNI space."""
    move = np.eye(4)
    move[:3, :3] = rotation(np.radians(TURN_DEGREES)) @ np.diag(STRETCH)
    move[:3, 3] = SHIFT_MM
    return move


def write_head(path: Path, *, voxel_size_mm: float = 4.0, brain_only: bool = False) -> Path:
    """A T1w of the template's head, 4 mm unless told otherwise, with noise.

    Args:
      path: of the NIfTI file.
      voxel_size_mm: edge of the voxels.
      brain_only: without skull.
    """
    head, brain, affine = template()
    shown = head * (brain > 0.5) if brain_only else head
    shape = tuple(int(n) for n in np.ceil(np.array([200, 240, 220]) / voxel_size_mm))
    own = np.diag([voxel_size_mm] * 3 + [1.0])
    own[:3, 3] = (-100.0, -130.0, -90.0)
    move = np.linalg.inv(affine) @ to_mni() @ own
    data = ndimage.affine_transform(shown, move[:3, :3], cast(Any, move[:3, 3]), shape, order=1)
    grey = 700 * data + np.random.default_rng(0).normal(0, 5, shape) * (data > 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(np.maximum(grey, 0).astype(np.float32), own)
    nib.save(image, path)  # pyright: ignore
    return path
