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


SHIPPED = {}


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
    hint = f"Did you mean {near[0]}? " if near else ""
    raise UsageError(
        f"--model: expected a model that comes with fedbrain, or a file, got none at {text!r}."
        f" {hint}Names are: {', '.join(SHIPPED) or 'none'}."
    )
