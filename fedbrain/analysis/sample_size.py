"""How many people a paired comparison of two methods needs, from the spread in a pilot.

    d_i            error of the first method - that of the second, for person i
    power(n)       P(|T| > t_{.975, n-1}),   T: noncentral t with n - 1 degrees of freedom and
                   noncentrality difference / (SD / sqrt(n))
    people         the smallest n with power(n) >= the wanted one

SD is estimated; its own interval (chi-squared) gives that of the number of people.

References:
  Cohen (1988), Statistical Power Analysis for the Behavioral Sciences, chapter 2
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy import stats

LEVEL = 0.05  # of the two-sided test
MOST = 10_000_000  # people that are looked for


class Pilot(NamedTuple):
    """Paired differences of people."""

    people: int
    mean: float  # in target units
    sd: float
    sd_95: tuple[float, float]  # normal differences


def pilot_of(differences: Float[np.ndarray, " n"]) -> Pilot:
    """Mean and spread.

    Args:
      differences: one a person, two at least.
    """
    n, sd = len(differences), float(np.std(differences, ddof=1))
    high, low = stats.chi2.ppf([0.025, 0.975], n - 1)
    ends = sd * math.sqrt((n - 1) / low), sd * math.sqrt((n - 1) / high)
    return Pilot(n, float(np.mean(differences)), sd, ends)


def power(people: int, difference: float, sd: float) -> float:
    """The chance that the difference is found.

    Args:
      people: two or more.
      difference: of the two methods' mean errors.
      sd: of the people's differences, in the same unit.

    >>> round(power(34, 0.5, 1.0), 3)
    0.808
    """
    shift = abs(difference) / sd * math.sqrt(people)
    limit = stats.t.ppf(1 - LEVEL / 2, people - 1)
    found = stats.nct.sf(limit, people - 1, shift) + stats.nct.cdf(-limit, people - 1, shift)
    # scipy's series ends in NaN for large shifts, where the power is 1
    return float(found) if math.isfinite(found) else float(stats.norm.sf(limit - shift))


def people_needed(difference: float, sd: float, wanted: float) -> int:
    """The smallest number of people with the wanted power.

    Args:
      difference: to be found, above 0.
      sd: of the people's differences.
      wanted: power, above LEVEL and below 1.

    Returns:
      At most MOST.

    >>> people_needed(0.5, 1.0, 0.8)
    34
    """
    low, high = 2, 2
    while high < MOST and power(high, difference, sd) < wanted:
        low, high = high, high * 2
    while low < high:
        middle = (low + high) // 2
        if power(middle, difference, sd) < wanted:
            low = middle + 1
        else:
            high = middle
    return min(high, MOST)


def smallest_difference(people: int, sd: float, wanted: float) -> float:
    """What so many people find with the wanted power.

    Args:
      people: two or more.
      sd: of their differences.
      wanted: power.
    """
    low, high = 0.0, sd
    while power(people, high, sd) < wanted:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if power(people, middle, sd) < wanted else (low, middle)
    return high
