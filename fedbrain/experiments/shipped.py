"""Models that come with fedbrain, by name; what each is good for is on its model card."""

import difflib
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from fedbrain.experiments.catalogue import UsageError

FOLDER = Path(__file__).with_name("shipped_models")


class Shipped(NamedTuple):
    """A row of `SHIPPED`."""

    file: str  # in `FOLDER`
    pipeline: str  # whose derivatives it reads
    brain: str  # how these found the brain: --brain of `fedbrain prepare`
    sha256: str  # of the file
    does: str  # half a line


SHIPPED = {
    "brain_age_ixi": Shipped(
        "brain_age_ixi.safetensors",
        "fedbrain",
        "template",
        "30b992755fa83d3d8e71b449e3cd0c3753dbc605ca0f9bccacec11dfe2c60402",
        "age from T1w, adults of 20 to 82 years; docs/model_card_brain_age_ixi.md",
    ),
}


def require_prepared(root: Path, pipeline: str, model: Shipped) -> None:
    """Refuses a tree whose scans were not prepared as the model reads them.

    Args:
      root: of the BIDS tree.
      pipeline: whose derivatives are read.
      model: that will read them.

    Raises:
      ValueError: when the folder is not there, or records tell of another extraction of the brain.
    """
    folder = root / "derivatives" / pipeline
    if root.is_dir() and pipeline == model.pipeline and not folder.is_dir():
        raise ValueError(
            f"{folder}: expected the brains that the model reads, got no such folder. Run fedbrain"
            f" prepare {root} --brain={model.brain}, or name another one by --pipeline."
        )
    if pipeline:
        require_brains(sorted(folder.glob("sub-*/**/anat/*_desc-preproc_T1w.json")), model)


def require_brains(records: Iterable[Path], model: Shipped) -> None:
    """Refuses scans whose records tell of another extraction of the brain.

    Args:
      records: JSON files of `fedbrain prepare`; those that are not there tell nothing.
      model: that will read the scans.

    Raises:
      ValueError: naming the first one.
    """
    for path in records:
        method = _method_of(path)
        if method not in ("", model.brain):
            raise ValueError(
                f"{path}: expected brains of --brain={model.brain}, as the model was trained on,"
                f" got {method}, which may move every prediction by years. Run fedbrain prepare"
                f" with --brain={model.brain} and an --output of its own."
            )


def _method_of(record: Path) -> str:
    """How the brain was found; empty where nothing is said."""
    try:
        told = json.loads(record.read_text(encoding="utf-8"))
        return str(told["Preparation"]["BrainExtraction"]).partition(" ")[0]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ""


def record_of(image: Path) -> Path:
    """The JSON file beside an image.

    >>> str(record_of(Path("sub-01_T1w.nii.gz")))
    'sub-01_T1w.json'
    """
    return image.with_name(re.sub(r"\.nii(\.gz)?$", "", image.name, flags=re.I) + ".json")


def locate_model(text: str) -> tuple[Path, Shipped | None]:
    """(file, its row of `SHIPPED`; None for another one).

    Args:
      text: a name of `SHIPPED`, or the path of a file of `fedbrain export --all`.

    Raises:
      UsageError: when there is none, with the names.
    """
    if text in SHIPPED:
        return FOLDER / SHIPPED[text].file, SHIPPED[text]
    path = Path(text).expanduser()
    if path.is_file():
        return path, None
    near = difflib.get_close_matches(text, SHIPPED, 1)
    names = "; ".join(f"{name} ({row.does})" for name, row in SHIPPED.items())
    raise UsageError(
        f"--model: expected a model that comes with fedbrain, or a file, got none at {text!r}."
        f" {f'Did you mean {near[0]}? ' if near else ''}Names are: {names}."
    )
