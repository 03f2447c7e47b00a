"""Derives `fedbrain/preprocessing/template.npz`, to which raw scans are registered.

Run by hand, on the average of 152 heads in the examples of the NIfTI-1 standard:

    python tools/derive_registration_template.py avg152T1_LR_nifti.nii.gz

Output, on a grid of 2.5 mm in RAS order, compressed to below 200 kB:
  head    uint8 [x y z], grey values in 64 levels
  brain   uint8 [x y z], probability of brain x 15, from `fedbrain/data/synthetic/template.npz`
  affine  float64 [4 4], voxel index -> mm in MNI space
Both sources may be used, copied, modified and distributed when the copyright notice of the ICBM 152
templates is kept: see NOTICE.template.
"""

import sys
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage

from fedbrain.data.synthetic import anatomy

VOXEL_MM = 2.5
LEVELS = 64
TISSUE_CENTRE_MM = np.array([0.0, -18.0, 12.0])  # of the grid of the tissue maps, in MNI space
TISSUE_VOXEL_MM = 3.0


def main(path: Path) -> None:
    """Writes the template."""
    image = nib.as_closest_canonical(nib.load(path))  # pyright: ignore[reportArgumentType]
    data = np.asarray(image.dataobj, np.float32)  # pyright: ignore[reportAttributeAccessIssue]
    zoom = VOXEL_MM / np.linalg.norm(image.affine[:3, :3], axis=0)
    smooth = ndimage.gaussian_filter(data, 0.5 * (zoom - 1) + 0.3)
    shape = tuple(int(n) for n in np.ceil(np.asarray(data.shape) / zoom))
    head = ndimage.affine_transform(smooth, zoom, 0, shape, order=1)
    affine = image.affine @ np.diag([*zoom, 1.0])

    maps = np.load(Path(anatomy.__file__).with_name("template.npz"))
    tissue = np.sum([maps[name].astype(np.float32) for name in maps.files], 0) / 15
    start = TISSUE_CENTRE_MM - TISSUE_VOXEL_MM * (np.asarray(tissue.shape) - 1) / 2
    matrix = affine[:3, :3] / TISSUE_VOXEL_MM
    offset = (affine[:3, 3] - start) / TISSUE_VOXEL_MM
    brain = ndimage.affine_transform(np.clip(tissue, 0, 1), matrix, offset, shape, order=1)

    target = Path(__file__).parents[1] / "fedbrain/preprocessing/template.npz"
    np.savez_compressed(
        target,
        head=np.round(head / head.max() * (LEVELS - 1)).astype(np.uint8),
        brain=np.round(brain * 15).astype(np.uint8),
        affine=affine.astype(np.float64),
    )
    print(target, target.stat().st_size, "bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
