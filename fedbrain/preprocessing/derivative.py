"""The files of a prepared session, as BIDS writes derivatives; each in one piece or not at all.

    sub-01/anat/sub-01_space-MNI152Lin_res-1p4_desc-preproc_T1w.nii.gz    without skull
    sub-01/anat/sub-01_space-MNI152Lin_res-1p4_desc-brain_mask.nii.gz
    sub-01/anat/sub-01_space-MNI152Lin_res-1p4_desc-preproc_T1w.json      written last
    sub-01/figures/sub-01_desc-quality_T1w.png

References:
  BIDS 1.10, derivatives, https://bids-specification.readthedocs.io
"""

import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from jaxtyping import Float

import fedbrain
from fedbrain.data.bids import Scan
from fedbrain.data.whole_file import write_whole
from fedbrain.preprocessing.recipe import Recipe
from fedbrain.preprocessing.session import Prepared
from fedbrain.preprocessing.template import SPACE

GZIP_LEVEL = 6  # of 9: the usual one
LEVELS = 65535  # of uint16; 0 is background, so that brain is at least 1


def stem(scan: Scan, recipe: Recipe) -> str:
    """Entities of the prepared files of a session, before `desc-`.

    >>> from fedbrain.preprocessing.template import Grid
    >>> scan = Scan(Path("sub-01_run-2_T1w.nii.gz"), "sub-01", "", (("run", "2"),))
    >>> stem(scan, Recipe("template", Grid(1.4, (130, 130, 130), (0, 0, 0)), ()))
    'sub-01_run-2_space-MNI152Lin_res-1p4'
    """
    own = "".join(f"_{k}-{v}" for k, v in scan.entities if k not in ("space", "res", "desc"))
    size = f"{recipe.grid.voxel_size_mm:g}".replace(".", "p")
    return f"{scan.id}{own}_space-{SPACE}_res-{size}"


def anat(output: Path, scan: Scan) -> Path:
    """The folder of a session's prepared images."""
    return output / scan.subject / scan.session / "anat"


def figure_path(output: Path, scan: Scan) -> Path:
    """Of the picture that a person looks at."""
    return output / scan.subject / scan.session / "figures" / f"{scan.id}_desc-quality_T1w.png"


def sidecar_path(output: Path, scan: Scan, recipe: Recipe) -> Path:
    """Of the record of a session, which is written last."""
    return anat(output, scan) / f"{stem(scan, recipe)}_desc-preproc_T1w.json"


def read_record(output: Path, scan: Scan, recipe: Recipe) -> dict[str, Any] | None:
    """What was written beside the images of a session; None when they are not there or not whole.

    Args:
      output: folder of the derivative.
      scan: the T1w.
      recipe: see `Recipe`.
    """
    try:
        found = json.loads(sidecar_path(output, scan, recipe).read_text(encoding="utf-8"))
        sizes = found["Sizes"].items()
        whole = all((anat(output, scan) / name).stat().st_size == size for name, size in sizes)
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return None
    return found if whole else None


def write_session(
    output: Path, scan: Scan, recipe: Recipe, prepared: Prepared, fields: Mapping[str, Any]
) -> dict[str, Any]:
    """Writes the images of a session and then its record; returns the record.

    Args:
      output: folder of the derivative.
      scan: the T1w.
      recipe: see `Recipe`.
      prepared: images, brain and numbers.
      fields: of the record: what the images depend on.
    """
    folder, name = anat(output, scan), stem(scan, recipe)
    affine = recipe.grid.affine
    files = {f"{name}_desc-brain_mask.nii.gz": prepared.brain.astype(np.uint8)}
    for suffix, image in prepared.images.items():
        files[f"{name}_desc-preproc_{suffix}.nii.gz"] = _as_uint16(image, prepared)
    for file, data in files.items():
        image = nib.Nifti1Image(data, affine)
        image.header.set_xyzt_units("mm")
        image.set_sform(affine, code=4)  # 4: MNI
        image.set_qform(affine, code=4)
        write_file(folder / file, gzip.compress(image.to_bytes(), GZIP_LEVEL, mtime=0))
    record = {
        "SkullStripped": True,
        "SpatialReference": SPACE,
        "Resolution": f"{recipe.grid.voxel_size_mm:g} mm, cubic",
        **fields,
        "AffineToTemplate": prepared.to_mni.round(8).tolist(),
        "Quality": prepared.quality,
        "Sizes": {file: (folder / file).stat().st_size for file in files},
    }
    text = json.dumps(record, indent=2) + "\n"
    write_file(sidecar_path(output, scan, recipe), text)
    return record


def _as_uint16(image: Float[np.ndarray, "i j k"], prepared: Prepared) -> np.ndarray:
    """Grey values in 65,535 levels; every voxel of the brain is above 0, every other is 0."""
    top = float(image.max()) or 1.0
    levels = np.round(image / top * LEVELS)
    return np.where(prepared.brain, np.clip(levels, 1, LEVELS), 0).astype(np.uint16)


def write_description(output: Path) -> None:
    """`dataset_description.json` of the derivative."""
    generator = {"Name": "fedbrain prepare", "Version": fedbrain.__version__}
    description = {
        "Name": "T1w without skull in MNI space",
        "BIDSVersion": "1.10.0",
        "DatasetType": "derivative",
        "GeneratedBy": [generator],
    }
    text = json.dumps(description, indent=2) + "\n"
    write_file(output / "dataset_description.json", text)


def write_file(path: Path, content: str | bytes) -> None:
    """Writes a file whole or not at all, in a folder that is made where it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, content)
