"""Do sites differ in a column? Moments, tests and distances, from sums that leave the sites.

Everything is computed from numbers that leave a site anyway, so that it reveals nothing more.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple, cast

import numpy as np
from jaxtyping import Int
from scipy import stats

from fedbrain.data.describe import Sums


class Moments(NamedTuple):
    """Moments over people of a column at one or several sites; NaN where not defined."""

    scans: int
    people: int
    missing: int
    mean: float
    sd: float
    skewness: float
    low: float  # lower edge of the first class with people: nobody's value
    high: float  # upper edge of the last class with people


def moments(parts: Sequence[Sums]) -> Moments:
    """Mean, SD (n - 1), skewness and range of all sites together."""
    scans = sum(p.scans for p in parts)
    n = sum(p.people for p in parts)
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
    taken = [edges for p in parts for edges, count in zip(pairwise(p.edges), p.counts) if count]
    low, high = min(low for low, _ in taken), max(high for _, high in taken)
    return Moments(scans, n, missing, parts[0].centre + a, sd, skewness, low, high)


class Difference(NamedTuple):
    """A test of whether sites differ; NaN where it is not defined."""

    statistic: float
    degrees: tuple[int, int]  # of freedom; (k, 0) for chi-squared
    p: float


def anova(parts: Sequence[Sums]) -> Difference:
    """One-way analysis of variance between sites, from people, mean and SD of each."""
    sites = [moments([p]) for p in parts if p.people > 1]
    n = sum(s.people for s in sites)
    k = len(sites)
    if k < 2 or n <= k:
        return Difference(math.nan, (k - 1, n - k), math.nan)
    mean = sum(s.people * s.mean for s in sites) / n
    between = sum(s.people * (s.mean - mean) ** 2 for s in sites) / (k - 1)
    within = sum((s.people - 1) * s.sd**2 for s in sites) / (n - k)
    f = between / within if within else math.inf
    return Difference(f, (k - 1, n - k), float(stats.f.sf(f, k - 1, n - k)))


def common_counts(parts: Sequence[Sums]) -> tuple[list[float], Int[np.ndarray, "sites classes"]]:
    """(edges that all sites have, people of every site between them); sites that tell nothing are
    left out.
    """
    parts = [p for p in parts if p.people]
    if not parts:
        return [], np.zeros((0, 0), int)
    edges = sorted(set.intersection(*(set(p.edges) for p in parts)))
    rows = [
        np.add.reduceat(np.asarray(p.counts), [p.edges.index(e) for e in edges[:-1]]) for p in parts
    ]
    return edges, np.stack(rows)


def chi_squared(counts: Int[np.ndarray, "sites classes"]) -> Difference:
    """Whether classes (sex, say) or bins are distributed alike at all sites.

    Neighbours are merged from below until 5 people are expected in each class at each site. The
    margins decide, not the differences between sites, so that the p value keeps its meaning. Not
    defined where fewer than two sites or classes are left.

    References:
      Cochran (1954), https://doi.org/10.2307/3001616
    """
    counts = _expecting(counts[counts.sum(1) > 0], 5)
    if min(counts.shape) < 2:
        return Difference(math.nan, (0, 0), math.nan)
    statistic, p, dof, _ = cast(tuple, stats.chi2_contingency(counts, correction=False))
    return Difference(float(statistic), (int(dof), 0), float(p))


def _expecting(counts: np.ndarray, fewest: int) -> np.ndarray:
    """Neighbouring classes merged until the smallest expected count is `fewest`."""
    if not counts.size:
        return counts
    needed = fewest * counts.sum() / counts.sum(1).min()  # people of all sites in a class
    starts, people = [0], 0
    for k, total in enumerate(counts.sum(0)):
        if people >= needed:
            starts.append(k)
            people = 0
        people += total
    if people < needed and len(starts) > 1:
        starts.pop()
    return np.add.reduceat(counts, starts, axis=1)


def distances(a: Sums, b: Sums) -> dict[str, float]:
    """Distances between two sites' histograms, over the classes that both have.

    Returns:
      `earth_mover` in the column's unit, between the middles of classes; `jensen_shannon` in
      [0, 1]; NaN where the two sites have fewer than two classes in common.
    """
    edges, counts = common_counts([a, b])
    if min(counts.shape) < 2:
        return {"earth_mover": math.nan, "jensen_shannon": math.nan}
    p, q = counts / counts.sum(1, keepdims=True)
    steps = np.diff([(low + high) / 2 for low, high in pairwise(edges)])
    middle = (p + q) / 2

    def divergence_from_middle(x: np.ndarray) -> float:
        ratio = np.where(x > 0, x, 1) / np.where(middle > 0, middle, 1)
        return np.where(x > 0, x * np.log2(ratio), 0).sum()

    divergence = (divergence_from_middle(p) + divergence_from_middle(q)) / 2
    return {
        "earth_mover": float((np.abs(np.cumsum(p - q)[:-1]) * steps).sum()),
        "jensen_shannon": math.sqrt(max(float(divergence), 0.0)),
    }
