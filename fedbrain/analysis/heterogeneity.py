"""How far clients pulled apart over the rounds of a federation, from what `diagnose` wrote."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fedbrain.analysis.figures import colour, titled

# name in `metrics.jsonl` -> what it says; one number a client
MEASURES = {
    "cosine": "cosine of a client's update with the mean",
    "drift": "distance from the mean / its length",
    "influence": "shift of the mean without the client",
    "effective_weight": "weight in the aggregate",
}
RANK = "effective_rank"
LEGEND = (
    "Median over rounds, and the least to the greatest. Cosine: of a client's update with the mean"
    " of all. Drift: distance of the update from the mean, over the mean's length. Influence: how"
    " far the mean would move without the client. Weight: what the rule gave it. Effective rank: in"
    " how many directions the clients pulled."
)

History = Sequence[Mapping[str, Any]]


def _series(history: History, measure: str) -> dict[str, list[tuple[int, float]]]:
    """Client -> (round, value) where it took part."""
    series: dict[str, list[tuple[int, float]]] = {}
    for line in history:
        for client, value in (line.get(measure) or {}).items():
            if line.get("steps", {}).get(client, 1) and value is not None and np.isfinite(value):
                series.setdefault(client, []).append((line["round"], value))
    return series


def _cell(values: Sequence[float]) -> str:
    if not values:
        return "n/a"
    middle, least, most = np.median(values), min(values), max(values)
    return f"{middle:.2f} ({least:.2f} to {most:.2f})"


def heterogeneity_rows(history: History) -> list[list[str]]:
    """A header, a row for every client, and one for all together; empty for a single client.

    Args:
      history: lines of `metrics.jsonl`, one a round.

    >>> line = {"round": 1, "cosine": {"a": 0.5, "b": 0.7}, "effective_rank": 1.5}
    >>> heterogeneity_rows([line])[1][:3]
    ['a', '1', '0.50 (0.50 to 0.50)']
    """
    found = {measure: _series(history, measure) for measure in MEASURES}
    clients = sorted({client for series in found.values() for client in series})
    if len(clients) < 2:
        return []
    rows = [["", "rounds", "cosine", "drift", "influence", "weight", "effective rank"]]
    for client in clients:
        points = {measure: series.get(client, []) for measure, series in found.items()}
        rounds = str(max(map(len, points.values())))
        cells = [_cell([value for _, value in p]) for p in points.values()]
        rows.append([client, rounds, *cells, ""])
    ranks = [line[RANK] for line in history if line.get(RANK) is not None]
    rows.append(["all", str(len(history)), *[""] * len(MEASURES), _cell(ranks)])
    return rows


def heterogeneity_figure(history: History, *, title: str, synthetic: bool) -> Figure:
    """A panel for every measure, a line for every client, over rounds.

    Args:
      history: lines of `metrics.jsonl`, one a round.
      title: of the figure.
      synthetic: adds "(synthetic)" to the title.
    """
    figure = Figure(figsize=(10, 6), layout="constrained")
    panels = figure.subplots(2, 2, sharex=True).ravel()
    for axes, (measure, meaning) in zip(panels, MEASURES.items()):
        for k, (client, points) in enumerate(sorted(_series(history, measure).items())):
            axes.plot(*zip(*points), color=colour(k), label=client)
        axes.set_title(meaning, fontsize="medium")
    for axes in panels[2:]:
        axes.set_xlabel("round")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    panels[0].legend(fontsize="small")
    figure.suptitle(titled(title, synthetic))
    return figure
