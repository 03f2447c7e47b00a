"""Descriptive statistics that leave a site: sums and coarse counts, never a person's value.

The server adds the sums of all sites. From them it has means, standard deviations, skewness, ranges
of bins, an analysis of variance, a chi-squared test and distances between sites, as if all people
were at one site.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple, cast

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import stats

from fedbrain.data.dataset import Scans

FEWEST = 5  # smaller counts do not leave a site: a common rule of statistical offices


class Sums(NamedTuple):
    """Statistics of one column at one site."""

    n: int  # known values, one a scan
    people: int  # with at least one known value
    missing: int  # unknown values
    powers: tuple[float, float, float]  # sums of x, x^2, x^3 around `centre`
    centre: float  # a constant of the experiment, against cancellation
    edges: tuple[float, ...]  # of the histogram, the same at every site
    counts: tuple[int, ...]  # [edges - 1]; small counts are sent as 0, see `suppress_small`
    suppressed: int  # number of bins whose count is sent as 0


class Moments(NamedTuple):
    """Moments of a column at one or several sites; NaN where not defined."""

    n: int
    people: int
    missing: int
    mean: float
    sd: float
    skewness: float
    low: float  # lower edge of the first bin with a count: nobody's value
    high: float  # upper edge of the last bin with a count


def suppress_small(counts: Int[np.ndarray, " bins"]) -> Bool[np.ndarray, " bins"]:
    """The bins whose count is sent as 0: counts from 1 to FEWEST - 1.

    A single one could be had from n and the other counts, so the smallest other count goes too.

    >>> suppress_small(np.array([12, 3, 7])).tolist()
    [False, True, True]
    """
    small = (counts > 0) & (counts < FEWEST)
    if small.sum() == 1 and (counts >= FEWEST).any():
        small[np.argmin(np.where(counts >= FEWEST, counts, counts.max() + 1))] = True
    return small


def sums(
    values: Float[np.ndarray, " n"], edges: Sequence[float], subjects: Sequence[str] | None = None
) -> Sums:
    """The statistics of a column at a site.

    Args:
      values: NaN where unknown.
      edges: of the histogram; values beyond them count in the outer bins.
      subjects: of the values; by default everybody has one value.

    >>> s = sums(np.array([20.0, 30.0, np.nan]), edges=(0.0, 50.0, 100.0))
    >>> s.n, s.missing, s.powers[0]
    (2, 1, -50.0)

    Raises:
      ValueError: for edges that do not increase.
    """
    if len(edges) < 2 or any(b <= a for a, b in pairwise(edges)):
        raise ValueError(f"Expected edges that increase, got {list(edges)}.")
    is_known = np.isfinite(values)
    known = values[is_known].astype(np.float64)
    owners = range(values.size) if subjects is None else subjects
    centre = (edges[0] + edges[-1]) / 2
    x = known - centre
    counts = np.histogram(np.clip(known, edges[0], edges[-1]), edges)[0]
    small = suppress_small(counts)
    return Sums(
        n=known.size,
        people=len({owner for owner, k in zip(owners, is_known) if k}),
        missing=int(values.size - known.size),
        powers=(float(x.sum()), float((x**2).sum()), float((x**3).sum())),
        centre=centre,
        edges=tuple(map(float, edges)),
        counts=tuple(int(c) for c in np.where(small, 0, counts)),
        suppressed=int(small.sum()),
    )


def moments(parts: Sequence[Sums]) -> Moments:
    """Mean, SD (n - 1), skewness and range of all sites together."""
    n = sum(p.n for p in parts)
    people = sum(p.people for p in parts)
    missing = sum(p.missing for p in parts)
    if not n:
        return Moments(0, 0, missing, *[math.nan] * 5)
    if len({p.centre for p in parts}) > 1:
        raise ValueError("Expected sums around one centre. Use the same edges at every site.")
    a, b, c = (sum(p.powers[k] for p in parts) / n for k in range(3))
    variance = max(b - a * a, 0.0)
    third = c - 3 * a * b + 2 * a**3
    sd = math.sqrt(variance * n / (n - 1)) if n > 1 else math.nan
    skewness = third / variance**1.5 if variance else math.nan
    bins = [bin for p in parts for bin, count in zip(pairwise(p.edges), p.counts) if count]
    low = min((low for low, _ in bins), default=math.nan)
    high = max((high for _, high in bins), default=math.nan)
    return Moments(n, people, missing, parts[0].centre + a, sd, skewness, low, high)


class Difference(NamedTuple):
    """A test of whether sites differ; NaN where it is not defined."""

    statistic: float
    degrees: tuple[int, int]  # of freedom; (k, 0) for chi-squared
    p: float


def anova(parts: Sequence[Sums]) -> Difference:
    """One-way analysis of variance between sites, from n, mean and SD of each."""
    sites = [moments([p]) for p in parts if p.n > 1]
    n = sum(s.n for s in sites)
    k = len(sites)
    if k < 2 or n <= k:
        return Difference(math.nan, (k - 1, n - k), math.nan)
    mean = sum(s.n * s.mean for s in sites) / n
    between = sum(s.n * (s.mean - mean) ** 2 for s in sites) / (k - 1)
    within = sum((s.n - 1) * s.sd**2 for s in sites) / (n - k)
    f = between / within if within else math.inf
    return Difference(f, (k - 1, n - k), float(stats.f.sf(f, k - 1, n - k)))


def chi_squared(counts: Int[np.ndarray, "sites classes"]) -> Difference:
    """Whether classes (sex, say) or bins are distributed alike at all sites.

    Suppressed counts are 0 here, which weakens the test with few people. Not defined where fewer
    than two sites or classes have counts.
    """
    counts = counts[counts.sum(1) > 0][:, counts.sum(0) > 0]
    if min(counts.shape) < 2:
        return Difference(math.nan, (0, 0), math.nan)
    statistic, p, dof, _ = cast(tuple, stats.chi2_contingency(counts, correction=False))
    return Difference(float(statistic), (int(dof), 0), float(p))


def distances(a: Sums, b: Sums) -> dict[str, float]:
    """Distances between two sites' histograms.

    Returns:
      `earth_mover` in the column's unit, `jensen_shannon` in [0, 1]; NaN where one has no counts.
    """
    if a.edges != b.edges:
        raise ValueError("Expected histograms with the same edges.")
    p, q = (np.asarray(s.counts, np.float64) for s in (a, b))
    if not p.sum() or not q.sum():
        return {"earth_mover": math.nan, "jensen_shannon": math.nan}
    p, q = p / p.sum(), q / q.sum()
    width = np.diff(a.edges)
    middle = (p + q) / 2

    def divergence_from_middle(x: np.ndarray) -> float:
        ratio = np.where(x > 0, x, 1) / np.where(middle > 0, middle, 1)
        return np.where(x > 0, x * np.log2(ratio), 0).sum()

    divergence = (divergence_from_middle(p) + divergence_from_middle(q)) / 2
    return {
        "earth_mover": float((np.abs(np.cumsum(p - q)) * width).sum()),
        "jensen_shannon": math.sqrt(max(float(divergence), 0.0)),
    }


def describe(scans: Scans, edges: Mapping[str, Sequence[float]]) -> dict[str, Sums]:
    """Statistics of several columns at a site.

    Args:
      scans: of the site.
      edges: column, or "target" -> edges of its histogram. A site without a column misses all its
        values.
    """
    unknown = np.full(len(scans), np.nan, np.float32)
    columns = {"target": scans.target, **scans.columns}
    return {name: sums(columns.get(name, unknown), edges[name], scans.subjects) for name in edges}


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
