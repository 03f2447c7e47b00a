"""One NIfTI file, prepared as a scan of a site is, in a BIDS tree or outside of any."""

import math
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from fedbrain.data.bids import Scan, parse_name
from fedbrain.data.dataset import Preparation, Scans, Volumes
from fedbrain.data.masks import Masks
from fedbrain.data.prepare import prepare_scan


def scan_of(path: Path) -> Scan:
    """The scan that a file is; without `sub-` in its name, it has the name of the file.

    Args:
      path: of an image.

    >>> scan_of(Path("sub-01_ses-2_T1w.nii.gz")).id, scan_of(Path("my scan.nii")).id
    ('sub-01_ses-2', 'my_scan')
    """
    entities, _, _ = parse_name(path.name)
    stem = re.sub(r"\.nii(\.gz)?$", "", path.name, flags=re.IGNORECASE)
    subject = f"sub-{entities['sub']}" if "sub" in entities else re.sub(r"[^\w.-]", "_", stem)
    session = f"ses-{entities['ses']}" if "ses" in entities else ""
    rest = tuple((k, v) for k, v in entities.items() if k not in ("sub", "ses"))
    return Scan(path, subject, session, rest)


def root_of(path: Path) -> Path:
    """The root of the BIDS tree that a file lies in; its folder where it lies in none.

    Args:
      path: of an image.

    >>> str(root_of(Path("/data/derivatives/hdbet/sub-01/anat/sub-01_T1w.nii.gz")))
    '/data'
    """
    for folder in path.parents:
        if folder.name == "derivatives":
            return folder.parent
    for folder in path.parents:
        if folder.name.startswith("sub-"):
            return folder.parent
    return path.parent


def load_image(
    path: Path, preparation: Preparation, columns: Mapping[str, float]
) -> tuple[Scans, dict[str, str]]:
    """(the prepared image as a set of one scan, notes on it by reason).

    Args:
      path: of a NIfTI file.
      preparation: how it is prepared.
      columns: covariates of the person.

    Raises:
      ValueError: naming the file, when it or its mask cannot be used.
    """
    recipe, others = preparation.recipe, preparation.modalities[1:]
    scan = scan_of(path)
    try:
        mask = Masks(root_of(path.absolute()), recipe).of(scan)
    except ValueError as error:
        raise ValueError(
            f"{path}: expected a mask of {recipe.mask}, as the model was trained with: put image"
            f" and mask into a BIDS tree, and name the image there. {error}"
        ) from None
    prepared, notes = prepare_scan(scan, mask, recipe=recipe, cache=preparation.cache)
    absent = {f"without {other}": f"{path} is used without {other}." for other in others}
    volumes = Volumes([[prepared, *(None for _ in others)]], recipe.shape)
    values = {name: np.asarray([value], np.float32) for name, value in columns.items()}
    target = np.asarray([math.nan], np.float32)
    return Scans((scan.id,), (scan.subject,), target, volumes, values), notes | absent
