"""Who holds what: people of every client by their target, as counts, a figure and a table."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from fedbrain.analysis.figures import colour, save, titled
from fedbrain.data.dataset import Scans

BARS = 8  # classes of a target that is a number: arbitrary


class Cohorts(NamedTuple):
    """People of every client, counted in the classes of the target."""

    classes: list[str]  # "20 to 28", or names of classes
    people: dict[str, list[int]]  # client -> in each class
    scans: dict[str, int]  # client -> all


def count(clients: Mapping[str, Scans], classes: Sequence[str]) -> Cohorts:
    """Counts a person once, by the target of the first scan.

    Args:
      clients: name -> scans.
      classes: names, where the target is one; else bands of equal width are counted.
    """
    firsts = {
        name: scans.target[np.unique(np.asarray(scans.subjects), return_index=True)[1]]
        for name, scans in clients.items()
    }
    firsts = {name: values[np.isfinite(values)] for name, values in firsts.items()}
    if classes:
        edges, names = np.arange(len(classes) + 1) - 0.5, list(classes)
    else:
        everyone = np.concatenate(list(firsts.values()))
        edges = np.histogram_bin_edges(everyone, BARS)
        names = [f"{low:.4g} to {high:.4g}" for low, high in pairwise(edges)]
    people = {name: np.histogram(values, edges)[0].tolist() for name, values in firsts.items()}
    return Cohorts(names, people, {name: len(scans) for name, scans in clients.items()})


def rows_of(cohorts: Cohorts) -> list[list[str]]:
    """The table: a header, then scans, people and people of each class for every client.

    Args:
      cohorts: as counted.
    """
    rows = [["client", "scans", "people", *cohorts.classes]]
    for name, counts in cohorts.people.items():
        rows.append([name, *(str(x) for x in (cohorts.scans[name], sum(counts), *counts))])
    return rows


def draw(path: Path, cohorts: Cohorts, *, unit: str, synthetic: bool) -> None:
    """A row of bars for each client, all on the same axes: told apart by place and name, not by
    colour; the number of people stands at each bar.

    Args:
      path: of the PNG file.
      cohorts: as counted.
      unit: of the target.
      synthetic: adds "(synthetic)" to the title.
    """
    names = list(cohorts.people)
    figure = Figure(figsize=(7, 1.1 * len(names) + 1.4), layout="constrained")
    panels: Any = figure.subplots(len(names), 1, sharex=True, sharey=True, squeeze=False)
    places = range(len(cohorts.classes))
    for axis, name in zip(panels[:, 0], names):
        counts = cohorts.people[name]
        bars = axis.bar(places, counts, color=colour(0), width=0.9)
        axis.bar_label(bars, [str(n) if n else "" for n in counts], fontsize="small")
        axis.set_ylabel(f"{name}\n{sum(counts)} people", rotation=0, ha="right", va="center")
        axis.set_yticks([])
        axis.margins(y=0.25)
        axis.spines[["top", "right", "left"]].set_visible(False)
    panels[-1, 0].set_xticks(places, cohorts.classes, rotation=30, ha="right")
    panels[-1, 0].set_xlabel(f"target ({unit})")
    figure.suptitle(titled("people of every client, by target", synthetic))
    save(figure, path)
