"""Models that come with fedbrain, by name; what each is good for is on its model card."""

import difflib
from pathlib import Path
from typing import NamedTuple

from fedbrain.experiments.catalogue import UsageError

FOLDER = Path(__file__).with_name("shipped_models")


class Shipped(NamedTuple):
    """A row of `SHIPPED`."""

    file: str  # in `FOLDER`
    pipeline: str  # whose derivatives it reads
    sha256: str  # of the file
    does: str  # half a line


SHIPPED = {
    "brain_age_ixi": Shipped(
        "brain_age_ixi.safetensors",
        "fedbrain",
        "30b992755fa83d3d8e71b449e3cd0c3753dbc605ca0f9bccacec11dfe2c60402",
        "age from T1w, adults of 20 to 82 years; docs/model_card_brain_age_ixi.md",
    ),
}


def require_prepared(root: Path, pipeline: str) -> None:
    """Raises ValueError for a tree whose scans were not prepared as the model reads them.

    Args:
      root: of the BIDS tree.
      pipeline: whose derivatives the model reads; empty: not known.
    """
    folder = root / "derivatives" / pipeline
    if root.is_dir() and pipeline and not folder.is_dir():
        raise ValueError(
            f"{folder}: expected the brains that the model reads, got no such folder. Run fedbrain"
            f" prepare {root} --brain=template, or name another one by --pipeline."
        )


def locate_model(text: str) -> tuple[Path, str]:
    """(file, pipeline whose derivatives the model reads; empty: not known).

    Args:
      text: a name of `SHIPPED`, or the path of a file of `fedbrain export --all`.

    Raises:
      UsageError: when there is none, with the names.
    """
    if text in SHIPPED:
        return FOLDER / SHIPPED[text].file, SHIPPED[text].pipeline
    path = Path(text).expanduser()
    if path.is_file():
        return path, ""
    near = difflib.get_close_matches(text, SHIPPED, 1)
    names = "; ".join(f"{name} ({row.does})" for name, row in SHIPPED.items())
    raise UsageError(
        f"--model: expected a model that comes with fedbrain, or a file, got none at {text!r}."
        f" {f'Did you mean {near[0]}? ' if near else ''}Names are: {names}."
    )
