"""What a report says of every training: its chosen round, and what happened on the way."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fedbrain.analysis.cells import number
from fedbrain.analysis.html_page import Block, Table
from fedbrain.experiments.workdir import MetricsLog

HEADER = ["", "rounds", "chosen round", "validation loss there", "events"]
SHOWN = 3  # events of a kind; the others are counted: arbitrary


def runs_blocks(workdir: Path, rounds: int | None) -> Iterator[Block]:
    """A row for each training; nothing where no history is there.

    Args:
      workdir: of the experiment.
      rounds: at most, as was asked; None: not known.
    """
    paths = [*sorted(workdir.glob("runs/*/*/metrics.jsonl")), workdir / "metrics.jsonl"]
    rows = []
    for path in paths:
        if history := MetricsLog.read(path):
            within = "runs" in path.relative_to(workdir).parts
            name = f"{path.parent.parent.name}, {path.parent.name}" if within else "together"
            rows.append([name, *_cells(history, rounds)])
    if rows:
        yield Table("Chosen rounds, by validation loss, and events", [HEADER, *rows], text=True)


def _cells(history: Sequence[Mapping[str, Any]], rounds: int | None) -> list[str]:
    chosen = history[-1].get("best_round")
    there = next((line.get("valid_loss") for line in history if line["round"] == chosen), None)
    told = "; ".join(_events(history, rounds)) or "none"
    last = str(history[-1]["round"])
    of = f"{last} of {rounds}" if rounds is not None else last
    return [of, str(chosen or "none"), "n/a" if there is None else number(there), told]


def _events(history: Sequence[Mapping[str, Any]], rounds: int | None) -> Iterator[str]:
    skipped = [line["round"] for line in history if line.get("skipped")]
    if skipped:
        yield f"the server took no step in {_rounds(skipped)}"
    scales = [(line["round"], line.get("learning_rate_scale", 1.0)) for line in history]
    falls = [b[0] for a, b in zip([(0, 1.0), *scales], scales) if b[1] < a[1]]
    if falls:
        yield f"the learning rate fell after {_rounds(falls)}, to {scales[-1][1]:.3g} of the first"
    if rounds is not None and history[-1]["round"] < rounds:
        yield f"stopped early after round {history[-1]['round']}"


def _rounds(numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, numbers[:SHOWN]))
    more = f" and {len(numbers) - SHOWN} more" if len(numbers) > SHOWN else ""
    return f"round{'s' * (len(numbers) != 1)} {shown}{more}"
