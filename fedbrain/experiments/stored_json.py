"""JSON files of a work directory, which may have been cut, emptied or edited."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

NAMES = {dict: "an object", list: "a list"}
UNREADABLE = (ValueError, RecursionError)  # what a damaged file of JSON raises, beside OSError


def read_stored(path: Path, what: str, kind: type = dict) -> Any:
    """What a file holds.

    Args:
      path: of the file.
      what: it should be, for the sentence.
      kind: of its outermost value: `dict` or `list`.

    Raises:
      ValueError: naming the file, when it is cut, empty, no JSON, or holds another kind of value.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except UNREADABLE:  # no JSON, no text, or brackets without end
        raise damaged(path, what, "a file that is cut or empty") from None
    if not isinstance(value, kind):
        raise damaged(path, what, f"a {type(value).__name__} and not {NAMES[kind]}")
    return value


def damaged(path: Path, what: str, got: str) -> ValueError:
    """The error for a file that cannot be used.

    Args:
      path: of the file.
      what: was expected.
      got: what came.
    """
    return ValueError(
        f"{path}: expected {what}, got {got}. Copy it again, or delete the folder and run again."
    )


def part_of(stored: Mapping[str, Any], name: str, path: Path, what: str) -> dict[str, Any]:
    """A group of a stored object.

    Args:
      stored: the object.
      name: of the group.
      path: of the file, for the sentence.
      what: it should be.

    Raises:
      ValueError: naming the file, when the group is absent, or no object.
    """
    value = stored.get(name)
    if not isinstance(value, dict):
        raise damaged(path, what, f"a file without {name!r}")
    return value
