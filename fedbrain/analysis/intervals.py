"""95 % intervals over people and over seeds; docs/statistics.md has their measured coverage.

    over people   theta = sum_k w_k sum_i s_ki / sum_i c_ki,   s: sum over the c scans of person i
                  [theta - q_.975 SE, theta - q_.025 SE],   q of (theta* - theta) / SE* over draws
    over seeds    mean +- t_{n-1} SD / sqrt(n)

People are drawn with all their scans and within their site (a bootstrap-t interval; SE by
linearisation). With ten people it covers 93 to 96 in 100, where quantiles of theta* cover 86 to 89.

References:
  Efron (1982), https://doi.org/10.1137/1.9781611970319
  Hall (1988), https://doi.org/10.1214/aos/1176350933
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Shaped
from scipy import stats

from fedbrain.analysis.cells import without_minus_zero

DRAWS = 2000
FEWEST_PEOPLE = 8  # no interval over fewer people: with 5 it would be three times as wide
FEWEST_SEEDS = 3  # no interval over fewer seeds

Interval = tuple[float, float]
UNDEFINED: Interval = (math.nan, math.nan)


def span(interval: Sequence[float | None], form: str = ".2f") -> str:
    """An interval as text, or n/a where it is not defined.

    >>> span((1.234, 5.0)), span(UNDEFINED), span((-1.0, 2.0), "+.1f")
    ('1.23 to 5.00', 'n/a', '-1.0 to +2.0')
    """
    low, high = (math.nan if end is None else end for end in interval)
    form = without_minus_zero(form)
    return f"{low:{form}} to {high:{form}}" if math.isfinite(low + high) else "n/a"


def of_errors(interval: Interval) -> list[float]:
    """The part of an interval where a mean of absolute errors can be, which loses no coverage.

    >>> of_errors((-3.0, 9.0)), of_errors((1.0, 2.0))
    ([0.0, 9.0], [1.0, 2.0])
    """
    return [0.0 if end < 0 else end for end in interval]


class Group(NamedTuple):
    """One number a scan, summed over each person of a site."""

    sums: Float[np.ndarray, " people"]
    scans: Float[np.ndarray, " people"]


def by_person(values: Shaped[np.ndarray, " n"], subjects: Sequence[str]) -> Group:
    """Sums of one number a scan over people.

    >>> by_person(np.array([1.0, 2.0, 3.0]), ["a", "a", "b"])
    Group(sums=array([3., 3.]), scans=array([2., 1.]))
    """
    _, person = np.unique(np.asarray(subjects), return_inverse=True)
    sums = np.bincount(person, np.asarray(values, np.float64))
    return Group(sums, np.bincount(person).astype(np.float64))


def standard_error(group: Group) -> float:
    """Of the mean over scans, by linearisation over people; NaN for one person."""
    people, scans = len(group.sums), group.scans.sum()
    if people < 2:
        return math.nan
    residual = group.sums - group.scans * group.sums.sum() / scans
    return math.sqrt((residual**2).sum() * people / (people - 1)) / scans


def over_people(groups: Sequence[Group], weights: Sequence[float] | None = None) -> Interval:
    """The interval of a weighted mean of sites' means.

    Args:
      groups: of each site.
      weights: of the sites; by default their share of scans, which gives the mean over all scans.

    Returns:
      NaN for fewer than FEWEST_PEOPLE people, or a single person at a site.
    """
    scans = np.asarray([g.scans.sum() for g in groups])
    w = scans / scans.sum() if weights is None else np.asarray(weights, np.float64)
    if sum(len(g.sums) for g in groups) < FEWEST_PEOPLE or min(len(g.sums) for g in groups) < 2:
        return UNDEFINED
    error = math.sqrt(sum((k * standard_error(g)) ** 2 for k, g in zip(w, groups)))
    drawn = [_draw(g, seed) for seed, g in enumerate(groups)]
    mean = sum(k * (g.sums.sum() / g.scans.sum()) for k, g in zip(w, groups))
    shift = sum(k * m for k, (m, _) in zip(w, drawn)) - mean
    errors = np.sqrt(sum(k**2 * v for k, (_, v) in zip(w, drawn)))
    tiny = 1e-9 * max(error, abs(mean))
    if error <= tiny:
        return float(mean), float(mean)  # everybody has the same value
    if (errors <= tiny).mean() > 0.01:  # draws of people who all have one value
        degrees = sum(len(g.sums) - 1 for g in groups)
        half = float(stats.t.ppf(0.975, degrees)) * error
        return float(mean - half), float(mean + half)
    high, low = np.quantile(shift / np.maximum(errors, tiny), [0.025, 0.975])
    return float(mean - low * error), float(mean - high * error)


def _draw(group: Group, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(mean over scans, its squared standard error) of every draw of a site's people."""
    s, c = group
    people = len(s)
    sums, scans, ss, sc, cc = (
        _times_drawn(people, seed) @ np.stack([s, c, s * s, s * c, c * c], 1)
    ).T
    mean = sums / scans
    squares = np.maximum(ss - 2 * mean * sc + mean**2 * cc, 0.0)
    return mean, squares / scans**2 * people / (people - 1)


@lru_cache(maxsize=8)  # tables ask for the same people of many methods
def _times_drawn(people: int, seed: int) -> Float[np.ndarray, "draws people"]:
    """How often each person is drawn."""
    draw = np.random.default_rng(seed).multinomial
    return draw(people, np.full(people, 1 / people), DRAWS).astype(np.float64)


def over_sites(means: Sequence[float], errors: Sequence[float], people: Sequence[int]) -> Interval:
    """The interval of the unweighted mean of sites, from what sites send; t with the degrees of
    freedom of Welch and Satterthwaite.

    References:
      Satterthwaite (1946), https://doi.org/10.2307/3002019
    """
    variances = np.square(np.asarray(errors, np.float64)) / len(means) ** 2
    if not np.isfinite(variances).all() or sum(people) < FEWEST_PEOPLE or not variances.sum():
        return UNDEFINED
    degrees = variances.sum() ** 2 / (variances**2 / (np.asarray(people) - 1)).sum()
    half = float(stats.t.ppf(0.975, degrees)) * math.sqrt(variances.sum())
    return float(np.mean(means)) - half, float(np.mean(means)) + half


def over_seeds(values: Float[np.ndarray, " seeds"]) -> Interval:
    """The interval of a mean over seeds; NaN for fewer than FEWEST_SEEDS.

    >>> low, high = over_seeds(np.array([1.0, 2.0, 3.0]))
    >>> round(low, 2), round(high, 2)
    (-0.48, 4.48)
    """
    n = len(values)
    if n < FEWEST_SEEDS:
        return UNDEFINED
    half = float(stats.t.ppf(0.975, n - 1)) * float(np.std(values, ddof=1)) / math.sqrt(n)
    return float(np.mean(values)) - half, float(np.mean(values)) + half
