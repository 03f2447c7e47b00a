"""What a report says of training: how far clients pulled apart, and what each of them sent."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fedbrain.analysis.figures import svg
from fedbrain.analysis.heterogeneity import (
    LEGEND,
    heterogeneity_figure,
    heterogeneity_rows,
)
from fedbrain.analysis.html_page import Block, Picture, Section, Table
from fedbrain.experiments.workdir import MetricsLog

FEDERATED = "federated"
KILO = 1000


def _history(workdir: Path) -> tuple[str, list[dict[str, Any]]]:
    """(name of the first split, lines of its federation), of a simulation or between hospitals."""
    runs = sorted((workdir / "runs" / FEDERATED).glob("*/metrics.jsonl"))
    path = runs[0] if runs else workdir / "metrics.jsonl"
    return path.parent.name if runs else FEDERATED, MetricsLog.read(path)


def training_section(workdir: Path, results: Mapping[str, Any]) -> Section:
    """Heterogeneity of the federation, and the bytes that clients sent; empty without one.

    Args:
      workdir: of the experiment.
      results: what `results.json` holds.
    """
    split, history = _history(workdir)
    blocks = [*_heterogeneity(split, history, results), *_sent(history, results)]
    return Section("Heterogeneity of the clients", blocks)


def _heterogeneity(
    split: str, history: list[dict[str, Any]], results: Mapping[str, Any]
) -> Iterator[Block]:
    rows = heterogeneity_rows(history)
    if not rows:
        return
    yield LEGEND
    yield Table(f"Updates of the federation, {split}", rows)
    figure = heterogeneity_figure(history, title=split, synthetic=results["synthetic"])
    yield Picture("Agreement of the clients' updates over rounds", svg(figure))


def _sent(history: list[dict[str, Any]], results: Mapping[str, Any]) -> Iterator[Block]:
    """Rounds in which a client sent an update, and their bytes."""
    size = (results.get("footprint") or {}).get("sent_bytes")
    rounds: dict[str, int] = {}
    for line in history:
        for client, steps in (line.get("steps") or {}).items():
            rounds[client] = rounds.get(client, 0) + (steps > 0)
    if size is None or not rounds:
        return
    rows = [["", "rounds", "kB a round", "MB in all"]]
    for client, count in sorted(rounds.items()):
        total = count * size / KILO**2
        rows.append([client, str(count), f"{size / KILO:,.1f}", f"{total:,.1f}"])
    yield Table("What each client sent: updates, without headers", rows)
