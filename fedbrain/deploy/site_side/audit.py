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
        self._mend()
        self._append({"direction": direction, **describe(data)}, data, spent)
        write_json(head_file(self.path), end_of(self.path))

    def _append(self, what: Mapping[str, Any], data: Data, spent: Mapping[str, float]) -> None:
        lines = whole_lines(self.path)
        line = {
            "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds"),
            **what,
            "bytes": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
            **spent,
            "before": hashlib.sha256(lines[-1] if lines else b"").hexdigest(),
        }
        with self.path.open("ab") as file:
            file.write(json.dumps(line).encode() + b"\n")

    def _mend(self) -> None:
        """A line that a loss of power cut has no end: another one says so in its place."""
        written = self.path.read_bytes() if self.path.is_file() else b""
        torn = written.rpartition(b"\n")[2]
        if torn:
            with self.path.open("r+b") as file:
                file.truncate(len(written) - len(torn))
            self._append({"direction": "none", "kind": "a line that was cut"}, torn, {})


def whole_lines(path: Path) -> list[bytes]:
    """The lines of a record; the last one may be cut by a loss of power, and is none then.

    Args:
      path: of the record.
    """
    written = path.read_bytes() if path.is_file() else b""
    return written[: written.rfind(b"\n") + 1].splitlines()


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
    lines = whole_lines(path)
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
    lines = whole_lines(path)
    for number, line in enumerate(lines, 1):
        hash_before = _hash_before(line)
        if hash_before != hashlib.sha256(before).hexdigest():
            raise ValueError(
                f"{path}: line {number}: expected one that follows line {number - 1}, got one"
                " changed or cut."
            )
        before = line
    head = head_file(path)
    if len(lines) > 1 and not head.is_file():  # the first line may have been the last thing written
        raise ValueError(
            f"{head}: expected where the record of {len(lines)} lines ends, got no file: the last"
            " ones may have been cut. Compare it with joined.jsonl from the centre (--joined)."
        )
    if head.is_file():
        end = _read_head(head)
        last = lines[end["lines"] - 1] if 0 < end["lines"] <= len(lines) else b""
        if end["lines"] and hashlib.sha256(last).hexdigest() != end["sha256"]:
            raise ValueError(
                f"{path}: expected at least the {end['lines']} lines that {head.name} tells of, got"
                f" {len(lines)}: the last ones were cut."
            )
    return len(lines)


def _hash_before(line: bytes) -> str | None:
    try:
        return json.loads(line)["before"]
    except (ValueError, KeyError, TypeError):
        return None


def _read_head(path: Path) -> dict[str, Any]:
    try:
        head = json.loads(path.read_text(encoding="utf-8"))
        return {"lines": int(head["lines"]), "sha256": str(head["sha256"])}
    except (ValueError, KeyError, TypeError):
        raise ValueError(
            f"{path}: expected where the record ends, got a damaged file. Compare the record with"
            " joined.jsonl from the centre (--joined), then remove this file."
        ) from None
