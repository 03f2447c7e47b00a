"""A site's own record of every message: time, direction, round, size and hash, one JSON line each.

A line holds the hash of the line before it, so that a line that was changed or taken out shows.
"""

import datetime
import hashlib
import json
from pathlib import Path
from typing import Any

from fedbrain.deploy.protocol.codec import Data
from fedbrain.deploy.protocol.wire import Refused, unpack


class Audit:
    """Appends to a file."""

    def __init__(self, path: Path):
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)

    def record(self, direction: str, data: Data) -> None:
        """Writes one line.

        Args:
          direction: "in" or "out".
          data: the bytes of the message.
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
            "before": hashlib.sha256(last).hexdigest(),
        }
        with self.path.open("ab") as file:
            file.write(json.dumps(line).encode() + b"\n")


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
    """Checks that no line of a record was changed or taken out.

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
    return len(lines)
