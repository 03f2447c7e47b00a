"""Copies of `metrics.jsonl` that other programs read while a run goes on: a CSV file for
spreadsheets, an event file for TensorBoard. They stay beside the log.
"""

import csv
import io
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fedbrain.data.whole_file import write_whole
from fedbrain.experiments.event_file import first_record, scalars

CSV = "metrics.csv"
EVENTS = "events.out.tfevents.0.fedbrain"  # TensorBoard looks for the second and third word
LARGEST = 3.4e38  # of float32


def flat(line: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """The numbers of a round; those of a client are `train_loss/amber`.

    Args:
      line: of the log.
      prefix: of names.

    >>> flat({"round": 2, "train_loss": {"amber": 7.5}, "cosine": None})
    {'round': 2.0, 'train_loss/amber': 7.5}
    """
    numbers: dict[str, float] = {}
    for name, value in line.items():
        if isinstance(value, Mapping):
            numbers |= flat(value, f"{prefix}{name}/")
        elif isinstance(value, int | float) and math.isfinite(value):
            numbers[prefix + name] = float(value)
    return numbers


class Copies:
    """The copies of one log.

    Args:
      folder: of the log.
    """

    def __init__(self, folder: Path):
        self.csv, self.events = folder / CSV, folder / EVENTS
        self.rows: list[dict[str, float]] = []
        self.columns: list[str] = []

    def replace(self, lines: Sequence[Mapping[str, Any]]) -> None:
        """Writes both anew.

        Args:
          lines: all of the log.
        """
        self.rows = [flat(line) for line in lines]
        self._write_csv()
        now = time.time()
        write_whole(self.events, first_record(now) + b"".join(_event(now, r) for r in self.rows))

    def append(self, line: Mapping[str, Any]) -> None:
        """Adds a round.

        Args:
          line: of the log.
        """
        row = flat(line)
        self.rows.append(row)
        if set(row) <= set(self.columns):
            with self.csv.open("a", encoding="utf-8", newline="") as file:
                file.write(_lines(self.columns, [row]))
        else:
            self._write_csv()
        with self.events.open("ab") as file:
            file.write(_event(time.time(), row))

    def _write_csv(self) -> None:
        self.columns = list(dict.fromkeys(name for row in self.rows for name in row))
        header = _lines(self.columns, [dict(zip(self.columns, self.columns))])
        write_whole(self.csv, header + _lines(self.columns, self.rows) if self.columns else "")


def _event(now: float, row: Mapping[str, float]) -> bytes:
    numbers = {k: v for k, v in row.items() if k != "round" and abs(v) < LARGEST}
    return scalars(now, int(row["round"]), numbers)


def _lines(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    """Lines of CSV; a number that a round does not have is empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    for row in rows:
        writer.writerow({k: f"{v:.9g}" if isinstance(v, float) else v for k, v in row.items()})
    return text.getvalue()
