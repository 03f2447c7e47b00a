"""95 % intervals of shares, which hold near 0 and 1; docs/statistics.md has their coverage.

    share          Clopper and Pearson's interval of n' scans,   n' = 1 + p (1 - p) / SE^2
    sum_k w_k p_k  p - sqrt(sum_k (w_k (p_k - l_k))^2),  p + sqrt(sum_k (w_k (u_k - p_k))^2)

SE is over people, so that scans of one person count as far as they differ: n' lies between the
number of people, where all scans of a person agree, and that of scans.

References:
  Clopper and Pearson (1934), https://doi.org/10.1093/biomet/26.4.404
  Korn and Graubard (1998), Survey Methodology 24, 193-201
  Zou and Donner (2008), https://doi.org/10.1002/sim.3095
"""

import math
from collections.abc import Sequence

import numpy as np
from scipy import special

from fedbrain.analysis.intervals import UNDEFINED, Group, Interval, standard_error


def exact(share: float, count: float | int) -> Interval:
    """Of `share * count` hits among `count` trials, which need not be whole numbers.

    >>> low, high = exact(1.0, 10)
    >>> round(low, 3), high
    (0.692, 1.0)
    """
    if not count > 0:
        return UNDEFINED
    hits = share * count
    misses = count - hits
    low = float(special.betaincinv(hits, misses + 1, 0.025)) if hits > 1e-9 else 0.0
    high = float(special.betaincinv(hits + 1, misses, 0.975)) if misses > 1e-9 else 1.0
    return low, high


def effective_scans(groups: Sequence[Group]) -> float:
    """How many scans of different people would tell as much of a share.

    Args:
      groups: hits and scans of each person of each site.
    """
    scans = np.concatenate([g.scans for g in groups])
    total = float(scans.sum())
    if not total:
        return 0.0
    agreeing = total**2 / float((scans**2).sum())
    share = sum(float(g.sums.sum()) for g in groups) / total
    errors = [g.scans.sum() / total * standard_error(g) for g in groups if len(g.sums) > 1]
    variance = float(np.square(errors).sum())
    if variance <= 0 or len(errors) < len(groups):
        return agreeing
    return float(np.clip(1 + share * (1 - share) / variance, agreeing, total))


def share_over_people(groups: Sequence[Group]) -> tuple[float, Interval]:
    """A share over the scans of all sites, and its interval over people; NaN without a scan.

    Args:
      groups: hits and scans of each person of each site.
    """
    total = sum(float(g.scans.sum()) for g in groups)
    if not total:
        return math.nan, UNDEFINED
    share = sum(float(g.sums.sum()) for g in groups) / total
    return share, exact(share, effective_scans(groups))


def weighted(
    values: Sequence[float],
    intervals: Sequence[Sequence[float]],
    weights: Sequence[float],
    correlation: float = 0.0,
) -> Interval:
    """The interval of sum_k w_k p_k from the intervals of the p_k.

    Args:
      values: the p_k.
      intervals: of each.
      weights: of each; negative ones make a difference.
      correlation: of any two of them.

    >>> low, high = weighted([0.8, 0.6], [(0.7, 0.9), (0.5, 0.7)], [0.5, 0.5])
    >>> round(low, 3), round(high, 3)
    (0.629, 0.771)
    """
    w, p = np.asarray(weights, np.float64), np.asarray(values, np.float64)
    low, high = np.asarray(intervals, np.float64).T
    below = w * np.where(w > 0, p - low, p - high)  # from the end that makes the sum small
    above = w * np.where(w > 0, high - p, low - p)
    signs = np.sign(np.outer(w, w)) * correlation
    np.fill_diagonal(signs, 1.0)
    spans = [math.sqrt(max(float(s @ signs @ s), 0.0)) for s in (below, above)]
    return float(w @ p) - spans[0], float(w @ p) + spans[1]
