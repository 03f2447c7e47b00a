"""What a site tells about its data: sums and coarse counts, never a person.

The server adds the sums of all sites and gets what it would have got from all people together:
means, standard deviations, skewness, ranges of bins, an analysis of variance, a chi-squared test,
distances between sites.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple, cast

import numpy as np
from jaxtyping import Float, Int
from scipy import stats

from fedbrain.data.dataset import Scans

FEWEST = 5  # counts below are not told: a common rule of statistical offices


class Sums(NamedTuple):
    """Of one column at one site."""

    n: int  # values that are known, one a scan
    people: int  # of whom at least one is known
    missing: int
    powers: tuple[float, float, float]  # sums of x, x^2, x^3 around `centre`
    centre: float  # a constant of the experiment, against cancellation
    edges: tuple[float, ...]  # of the histogram, the same at every site
    counts: tuple[int, ...]  # [edges - 1]; counts from 1 to FEWEST - 1 are told as 0, two at least
    suppressed: int  # bins in which that happened


class Moments(NamedTuple):
    """Of a column, from sums."""

    n: int
    people: int
    missing: int
    mean: float
    sd: float
    skewness: float
    low: float  # edges of the outermost bins that are told of: not the value of anybody
    high: float


def sums(
    values: Float[np.ndarray, " n"], edges: Sequence[float], subjects: Sequence[str] | None = None
) -> Sums:
    """What a site sends about a column.

    Args:
      values: NaN where unknown.
      subjects: whose they are; by default everybody has one.
      edges: of the histogram; values beyond count in the outer bins.

    Raises:
      ValueError: for edges that do not increase.
    """
    if len(edges) < 2 or any(b <= a for a, b in pairwise(edges)):
        raise ValueError(f"Expected edges that increase, got {list(edges)}.")
    known = values[np.isfinite(values)].astype(np.float64)
    people = (
        known.size
        if subjects is None
        else len({s for s, v in zip(subjects, values) if np.isfinite(v)})
    )
    centre = (edges[0] + edges[-1]) / 2
    x = known - centre
    counts = np.histogram(np.clip(known, edges[0], edges[-1]), edges)[0]
    few = (counts > 0) & (counts < FEWEST)
    if (
        few.sum() == 1 and (counts >= FEWEST).any()
    ):  # n minus all others would tell it: the smallest other one goes too
        few[np.argmin(np.where(counts >= FEWEST, counts, counts.max() + 1))] = True
    powers = (float(x.sum()), float((x**2).sum()), float((x**3).sum()))
    told = tuple(int(c) for c in np.where(few, 0, counts))
    missing, borders = int(values.size - known.size), tuple(map(float, edges))
    return Sums(known.size, people, missing, powers, centre, borders, told, int(few.sum()))


def moments(parts: Sequence[Sums]) -> Moments:
    """Mean, SD (n - 1), skewness and range of all sites together; NaN where not defined."""
    n, people, missing = (
        sum(getattr(p, name) for p in parts) for name in ("n", "people", "missing")
    )
    if not n:
        return Moments(0, 0, missing, *[math.nan] * 5)
    if len({p.centre for p in parts}) > 1:
        raise ValueError("Expected sums around one centre. Use the same edges at every site.")
    a, b, c = (sum(p.powers[k] for p in parts) / n for k in range(3))
    variance = max(b - a * a, 0.0)
    third = c - 3 * a * b + 2 * a**3
    sd = math.sqrt(variance * n / (n - 1)) if n > 1 else math.nan
    skewness = third / variance**1.5 if variance else math.nan
    told = [
        (p.edges[k], p.edges[k + 1]) for p in parts for k, count in enumerate(p.counts) if count
    ]
    low, high = (
        (min(low for low, _ in told), max(high for _, high in told))
        if told
        else (math.nan, math.nan)
    )
    return Moments(n, people, missing, parts[0].centre + a, sd, skewness, low, high)


class Difference(NamedTuple):
    """A test of whether sites differ."""

    statistic: float
    degrees: tuple[int, int]
    p: float


def anova(parts: Sequence[Sums]) -> Difference:
    """One-way analysis of variance between sites, from n, mean and SD of each; NaN where there are
    too few.
    """
    sites = [moments([p]) for p in parts if p.n > 1]
    n, k = sum(s.n for s in sites), len(sites)
    if k < 2 or n <= k:
        return Difference(math.nan, (k - 1, n - k), math.nan)
    mean = sum(s.n * s.mean for s in sites) / n
    between = sum(s.n * (s.mean - mean) ** 2 for s in sites) / (k - 1)
    within = sum((s.n - 1) * s.sd**2 for s in sites) / (n - k)
    f = between / within if within else math.inf
    return Difference(f, (k - 1, n - k), float(stats.f.sf(f, k - 1, n - k)))


def chi_squared(counts: Int[np.ndarray, "sites classes"]) -> Difference:
    """Whether classes (sex, say) or bins are distributed alike at all sites; NaN where fewer than
    two of either are left.

    Counts that a site does not tell are 0 here: with few people the test sees less than there is.
    """
    counts = counts[counts.sum(1) > 0][:, counts.sum(0) > 0]
    if min(counts.shape) < 2:
        return Difference(math.nan, (0, 0), math.nan)
    statistic, p, dof, _ = cast(tuple, stats.chi2_contingency(counts, correction=False))
    return Difference(float(statistic), (int(dof), 0), float(p))


def distances(a: Sums, b: Sums) -> dict[str, float]:
    """Between two sites' histograms: earth mover's distance in the column's unit, Jensen-Shannon
    distance in [0, 1].
    """
    if a.edges != b.edges:
        raise ValueError("Expected histograms with the same edges.")
    p, q = (np.asarray(s.counts, np.float64) for s in (a, b))
    if not p.sum() or not q.sum():
        return {"earth_mover": math.nan, "jensen_shannon": math.nan}
    p, q = p / p.sum(), q / q.sum()
    width = np.diff(a.edges)
    middle = (p + q) / 2
    terms = [
        np.where(
            x > 0, x * np.log2(np.where(x > 0, x, 1) / np.where(middle > 0, middle, 1)), 0
        ).sum()
        for x in (p, q)
    ]
    return {
        "earth_mover": float((np.abs(np.cumsum(p - q)) * width).sum()),
        "jensen_shannon": math.sqrt(max(float(sum(terms)) / 2, 0.0)),
    }


def describe(scans: Scans, edges: Mapping[str, Sequence[float]]) -> dict[str, Sums]:
    """Sums of every column that has edges, "target" among them perhaps; a site without a column
    misses all its values.
    """
    unknown = np.full(len(scans), np.nan, np.float32)
    known = {"target": scans.target, **scans.columns}
    return {name: sums(known.get(name, unknown), edges[name], scans.subjects) for name in edges}


def histogram(
    column: str, low: float | int, high: float | int, bins: int
) -> tuple[str, tuple[float, ...]]:
    """A column to describe, "target" or a name, and the edges of its histogram."""
    if not low < high or bins < 1:
        raise ValueError(f"Expected low < high and bins >= 1, got {low, high, bins}.")
    return column, tuple(np.linspace(low, high, bins + 1).tolist())


def classes(column: str, *values: float | int) -> tuple[str, tuple[float, ...]]:
    """A column of classes: `classes('sex', 0, 1)`; a bin for each value."""
    if len(values) < 2 or any(b <= a for a, b in pairwise(values)):
        raise ValueError(f"Expected at least two values that increase, got {values}.")
    inner = [(a + b) / 2 for a, b in pairwise(values)]
    return column, (2 * values[0] - inner[0], *inner, 2 * values[-1] - inner[-1])


HISTOGRAMS = {"histogram": histogram, "classes": classes}
