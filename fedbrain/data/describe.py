"""Descriptive statistics that leave a site: sums and coarse counts, never a person's value.

Every person counts once, with the first known value: five scans of one person are one person, in
counts that protect people as in tests that assume independent values. The server adds the sums of
all sites; `fedbrain.analysis.site_differences` makes means, tests and distances of them.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from fedbrain.data.dataset import Scans
from fedbrain.data.small_counts import FEWEST, merged_edges


class Sums(NamedTuple):
    """Statistics of one column at one site."""

    scans: int  # with a known value
    people: int  # with at least one known value
    missing: int  # scans without a known value
    withheld: bool  # fewer than FEWEST people have a value, so the site tells of none
    powers: tuple[float, float, float]  # sums over people of x, x^2, x^3 around `centre`
    centre: float  # a constant of the experiment, against cancellation
    edges: tuple[float, ...]  # of this site's classes: some of the experiment's edges
    counts: tuple[int, ...]  # [edges - 1] people in each class: FEWEST or more, or nobody
    merged: int  # bins of the experiment that have no edge of their own here


def sums(
    values: Float[np.ndarray, " n"],
    edges: Sequence[float],
    subjects: Sequence[str] | None = None,
    *,
    fewest: int = FEWEST,
) -> Sums:
    """The statistics of a column at a site.

    Args:
      values: NaN where unknown.
      edges: of the histogram; values beyond them count in the outer bins.
      subjects: of the values; by default everybody has one value.
      fewest: people in a class of whom anything is told.

    >>> s = sums(np.array([20.0] * 5 + [30.0] * 4 + [np.nan]), edges=(0.0, 25.0, 50.0))
    >>> s.people, s.missing, s.powers[0], s.edges, s.counts
    (9, 1, -5.0, (0.0, 50.0), (9,))

    Raises:
      ValueError: for edges that do not increase.
    """
    if len(edges) < 2 or any(b <= a for a, b in pairwise(edges)):
        raise ValueError(f"Expected edges that increase, got {list(edges)}.")
    centre = (edges[0] + edges[-1]) / 2
    known = np.flatnonzero(np.isfinite(values))
    owners = list(range(values.size) if subjects is None else subjects)
    first = {owners[i]: values[i] for i in reversed(known)}  # the first known value stands
    if len(first) < fewest:
        withheld = len(first) > 0
        return Sums(0, 0, int(values.size), withheld, (0.0, 0.0, 0.0), centre, (), (), 0)
    people = np.asarray(list(first.values()), np.float64)
    fine = np.histogram(np.clip(people, edges[0], edges[-1]), edges)[0]
    kept = merged_edges(fine, fewest)
    x = people - centre
    return Sums(
        scans=known.size,
        people=len(first),
        missing=int(values.size - known.size),
        withheld=False,
        powers=(float(x.sum()), float((x**2).sum()), float((x**3).sum())),
        centre=centre,
        edges=tuple(float(edges[k]) for k in kept),
        counts=tuple(np.add.reduceat(fine, kept[:-1]).tolist()),
        merged=len(edges) - len(kept),
    )


def describe(
    scans: Scans, edges: Mapping[str, Sequence[float]], *, fewest: int = FEWEST
) -> dict[str, Sums]:
    """Statistics of several columns at a site.

    Args:
      scans: of the site.
      edges: column, or "target" -> edges of its histogram. A site without a column misses all its
        values.
      fewest: people in a class of whom anything is told.
    """
    unknown = np.full(len(scans), np.nan, np.float32)
    columns = {"target": scans.target, **scans.columns}
    values = {name: columns.get(name, unknown) for name in edges}
    return {name: sums(values[name], edges[name], scans.subjects, fewest=fewest) for name in edges}


def histogram(
    column: str, low: float | int, high: float | int, bins: int
) -> tuple[str, tuple[float, ...]]:
    """A column to describe, "target" or a name, and the edges of its histogram.

    >>> histogram("target", 20, 80, bins=3)
    ('target', (20.0, 40.0, 60.0, 80.0))
    """
    if not low < high or bins < 1:
        raise ValueError(f"Expected low < high and bins >= 1, got {low, high, bins}.")
    return column, tuple(np.linspace(low, high, bins + 1).tolist())


def classes(column: str, *values: float | int) -> tuple[str, tuple[float, ...]]:
    """A column of classes, and edges of a histogram with a bin for each value.

    >>> classes("sex", 0, 1)
    ('sex', (-0.5, 0.5, 1.5))
    """
    if len(values) < 2 or any(b <= a for a, b in pairwise(values)):
        raise ValueError(f"Expected at least two values that increase, got {values}.")
    inner = [(a + b) / 2 for a, b in pairwise(values)]
    return column, (2 * values[0] - inner[0], *inner, 2 * values[-1] - inner[-1])


HISTOGRAMS = {"histogram": histogram, "classes": classes}
