"""Derives `fedbrain/data/synthetic/template.npz` from the ICBM 2009a atlas of nilearn.

Run by hand; needs nilearn.

    pip install nilearn && python tools/derive_template.py

Output, all uint8 on a 64x72x64 grid of 3 mm in RAS order, compressed to below 200 kB:
  gm, wm, csf, ventricles   tissue probability x 15 (they sum to at most 15)
The atlas may be used, copied, modified and distributed when its copyright notice is kept: see
NOTICE.template.
"""

from pathlib import Path

import nibabel as nib
import numpy as np
from nilearn import datasets
from scipy import ndimage

SHAPE = (64, 72, 64)
VOXEL_MM = 3.0
CENTRE_MM = (0.0, -18.0, 12.0)  # of the brain, in MNI space


def on_grid(image: nib.Nifti1Image) -> np.ndarray:
    """Mean probability in each 3 mm voxel."""
    data = ndimage.gaussian_filter(np.asarray(image.dataobj, np.float32), 1.0)
    start = np.asarray(CENTRE_MM) - VOXEL_MM * (np.asarray(SHAPE) - 1) / 2
    to_index = np.linalg.inv(image.affine)
    matrix = to_index[:3, :3] * VOXEL_MM
    offset = to_index[:3, :3] @ start + to_index[:3, 3]
    return ndimage.affine_transform(data, matrix, offset, SHAPE, order=1)


def main() -> None:
    """Writes the template."""
    gm = on_grid(datasets.load_mni152_gm_template(resolution=1))
    wm = on_grid(datasets.load_mni152_wm_template(resolution=1))
    brain = on_grid(datasets.load_mni152_brain_mask(resolution=1))
    gm, wm = np.clip(gm, 0, 1), np.clip(wm, 0, 1)
    csf = np.clip(brain - gm - wm, 0, 1)
    # Ventricles: fluid deep inside the brain, in the piece around the middle.
    depth = ndimage.distance_transform_edt(brain > 0.5) * VOXEL_MM
    pieces, _ = ndimage.label((csf > 0.35) & (depth > 24))
    centre = pieces[24:40, 28:50, 26:44]
    sizes = np.bincount(centre.ravel(), minlength=pieces.max() + 1)
    sizes[0] = 0
    ventricles = ndimage.binary_dilation(pieces == sizes.argmax()) * csf
    volumes = {"gm": gm, "wm": wm, "csf": csf, "ventricles": ventricles}
    print(
        "mL:", {name: round(float(x.sum()) * VOXEL_MM**3 / 1000, 1) for name, x in volumes.items()}
    )
    target = Path(__file__).parents[1] / "fedbrain/data/synthetic/template.npz"
    maps = {"gm": gm, "wm": wm, "csf": csf - ventricles, "ventricles": ventricles}
    np.savez_compressed(target, **{k: np.round(15 * v).astype(np.uint8) for k, v in maps.items()})
    print(target, target.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
