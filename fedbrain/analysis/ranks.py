"""Area under the receiver operating curve, with an interval that holds near 1.

    AUC = (pairs in the right order + ties / 2) / (m n)
    |theta - AUC| = z SE(theta),   SE^2 = theta (1 - theta) (1 + q ((1 - theta) / (2 - theta)
                                          + theta / (1 + theta))) / (m n),   q = (m + n) / 2 - 1

m people of a class, n others. docs/statistics.md has the interval's measured coverage.

References:
  Hanley and McNeil (1982), https://doi.org/10.1148/radiology.143.1.7063747
  Newcombe (2006), https://doi.org/10.1002/sim.2324 (method 5)
"""

import math
from collections.abc import Callable
from statistics import NormalDist
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from scipy import optimize, stats

from fedbrain.analysis.intervals import UNDEFINED, Interval

Z = NormalDist().inv_cdf(0.975)


def area(score: Float[np.ndarray, " n"], inside: Bool[np.ndarray, " n"]) -> float:
    """The share of pairs in which a member of the class has the larger score; a tie is half a pair.

    Returns:
      NaN where everybody or nobody is in the class.

    >>> area(np.array([0.1, 0.4, 0.4, 0.8]), np.array([False, False, True, True]))
    0.875
    """
    members = int(inside.sum())
    others = len(inside) - members
    if not members or not others:
        return math.nan
    ranks = stats.rankdata(score)
    return float((ranks[inside].sum() - members * (members + 1) / 2) / (members * others))


def area_interval(value: float, members: int, others: int) -> Interval:
    """The 95 % interval of an area, by Newcombe's method 5.

    Args:
      value: the area, from 0 to 1.
      members: people of the class.
      others: people of the other classes.

    >>> low, high = area_interval(1.0, 10, 10)
    >>> round(low, 2), high
    (0.8, 1.0)
    """
    if not math.isfinite(value):
        return UNDEFINED
    pairs, q = members * others, (members + others) / 2 - 1

    def outside(theta: float) -> float:
        """Above 0 where `theta` is outside of the interval."""
        spread = 1 + q * ((1 - theta) / (2 - theta) + theta / (1 + theta))
        return (theta - value) ** 2 - Z**2 * theta * (1 - theta) * spread / pairs

    tiny = 1e-9
    inside = min(max(value, tiny), 1 - tiny)
    low = _root(outside, 0.0, inside) if value > tiny else 0.0
    high = _root(outside, inside, 1.0) if value < 1 - tiny else 1.0
    return low, high


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    found: Any = optimize.brentq(function, low, high)
    return float(found)
