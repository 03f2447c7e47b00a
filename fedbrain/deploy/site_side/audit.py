"""A site's own record of every message: time, direction, round, size and hash, one JSON line each.

A line holds the hash of the line before it, so that a line that was changed or taken out shows.
The number of lines and the hash of the last one are in a file beside it, and go to the server when
the site joins, so that cutting the last lines shows too.
"""

import datetime
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fedbrain.deploy.protocol.codec import Data
from fedbrain.deploy.protocol.wire import Refused, unpack
from fedbrain.experiments.workdir import write_json


class Audit:
    """Appends to a file."""

    def __init__(self, path: Path):
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)

    def record(self, direction: str, data: Data, spent: Mapping[str, float] = {}) -> None:
        """Writes one line.

        Args:
          direction: "in" or "out".
          data: the bytes of the message.
          spent: the privacy that all answers so far come to.
        """
        last = (
            self.path.read_bytes().splitlines()[-1]
            if self.path.is_file() and self.path.stat().st_size
            else b""
        )
        line = {
            "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds"),
            "direction": direction,
            **describe(data),
            "bytes": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
            **spent,
            "before": hashlib.sha256(last).hexdigest(),
        }
        with self.path.open("ab") as file:
            file.write(json.dumps(line).encode() + b"\n")
        write_json(head_file(self.path), end_of(self.path))


def head_file(path: Path) -> Path:
    """The file beside a record that says where the record ends.

    Args:
      path: of the record.
    """
    return path.with_suffix(".head")


def end_of(path: Path) -> dict[str, Any]:
    """How many lines a record has, and the hash of the last one.

    Args:
      path: of the record.
    """
    lines = path.read_bytes().splitlines() if path.is_file() else []
    return {"lines": len(lines), "sha256": hashlib.sha256(lines[-1] if lines else b"").hexdigest()}


def describe(data: Data) -> dict[str, Any]:
    """Kind, round and scalars of a message; of anything else the text.

    Args:
      data: the bytes of a message, or a sentence.
    """
    try:
        message = unpack(data, limit=len(data))
    except Refused:
        return {"kind": "text", "text": bytes(data).decode("utf-8", "replace")[:500]}
    envelope = message.envelope
    numbers = {name: int(vector.size) for name, vector in message.vectors.items()}
    return {
        "kind": envelope.kind,
        "round": envelope.round,
        "scalars": dict(envelope.scalars),
        "numbers": numbers,
    }


def check(path: Path) -> int:
    """Checks that no line of a record was changed, taken out or cut off at the end.

    Args:
      path: of the record.

    Returns:
      The number of lines.

    Raises:
      ValueError: naming the first line that does not follow from the one before it.
    """
    before = b""
    lines = path.read_bytes().splitlines()
    for number, line in enumerate(lines, 1):
        try:
            hash_before = json.loads(line)["before"]
        except (json.JSONDecodeError, KeyError, TypeError):
            hash_before = None
        if hash_before != hashlib.sha256(before).hexdigest():
            raise ValueError(
                f"{path}: line {number}: expected one that follows line {number - 1}, got one"
                " changed or cut."
            )
        before = line
    head = head_file(path)
    if head.is_file():
        end = json.loads(head.read_text(encoding="utf-8"))
        last = lines[end["lines"] - 1] if 0 < end["lines"] <= len(lines) else b""
        if end["lines"] and hashlib.sha256(last).hexdigest() != end["sha256"]:
            raise ValueError(
                f"{path}: expected at least the {end['lines']} lines that {head.name} tells of, got"
                f" {len(lines)}: the last ones were cut."
            )
    return len(lines)
