"""How well an attacker tells whether a person took part, from scores with and without that person.

References:
  DeLong et al. (1988), area under the curve, https://doi.org/10.2307/2531595
  Nasr et al. (2021), epsilon from below, https://arxiv.org/abs/2101.04535
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.stats import beta, norm

Scores = Float[np.ndarray, " trials"]


class Told(NamedTuple):
    """What an attack found."""

    area: float  # under the curve: 0.5 is a coin, 1 is certainty
    area_95: tuple[float, float]
    epsilon_at_least: float  # with 95 % confidence; 0: nothing is shown


def area_under_curve(present: Scores, absent: Scores) -> tuple[float, tuple[float, float]]:
    """The chance that a score with the person is above one without, and its 95 % interval.

    Args:
      present: scores of trials with the person.
      absent: scores of trials without.

    >>> area_under_curve(np.array([3.0, 4.0]), np.array([1.0, 2.0]))[0]
    1.0
    """
    wins = (present[:, None] > absent) + 0.5 * (present[:, None] == absent)
    area = float(wins.mean())
    variance = wins.mean(1).var(ddof=1) / len(present) + wins.mean(0).var(ddof=1) / len(absent)
    half = float(norm.ppf(0.975)) * math.sqrt(float(variance))
    return area, (max(0.0, area - half), min(1.0, area + half))


def epsilon_from_below(present: Scores, absent: Scores, delta_dp: float) -> float:
    """The least epsilon that is compatible with an attack, with 95 % confidence.

    A threshold is chosen on every second trial and judged on the others: where so large a share is
    hit with so few false alarms, epsilon >= log((hits - delta) / alarms), with Clopper-Pearson
    bounds of both shares.

    Args:
      present: scores of trials with the person.
      absent: scores of trials without.
      delta_dp: of the differential privacy that is tested.
    """

    def bound(threshold: float, p: Scores, a: Scores) -> float:
        hits, alarms = int((p > threshold).sum()), int((a > threshold).sum())
        least = beta.ppf(0.025, hits, len(p) - hits + 1) if hits else 0.0
        most = beta.ppf(0.975, alarms + 1, len(a) - alarms) if alarms < len(a) else 1.0
        return math.log((least - delta_dp) / most) if least > delta_dp else 0.0

    choose = (present[::2], absent[::2])
    thresholds = np.quantile(np.concatenate(choose), np.linspace(0, 0.999, 200))
    best = max(thresholds, key=lambda t: bound(float(t), *choose))
    return max(0.0, bound(float(best), present[1::2], absent[1::2]))


def judge(present: Scores, absent: Scores, delta_dp: float) -> Told:
    """What an attack found.

    Args:
      present: scores of trials with the person.
      absent: scores of trials without.
      delta_dp: of the differential privacy that is tested.
    """
    return Told(*area_under_curve(present, absent), epsilon_from_below(present, absent, delta_dp))
