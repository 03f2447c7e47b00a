"""Intervals for new people: as wide as the errors of validation people say (split conformal).

    r_1 <= ... <= r_n     sizes of the errors of n validation people, one each
    half-width            r_k, k = ceil(.95 (n + 1)); not defined for k > n: fewer than 19 people
    new person            prediction +- half-width

95 in 100 such intervals hold the truth where the new person could as well have been a validation
person, whatever the distribution; nothing is said of a person of another scanner, age or disease.
Corrected by the line prediction = a age + b of the same people, an error is
(prediction - b) / a - age; that of a validation person is from the line without that person.

References:
  Lei et al. (2018), https://doi.org/10.1080/01621459.2017.1307116
  Cole et al. (2018), https://doi.org/10.1038/mp.2017.62
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from fedbrain.analysis.age_gap import FEWEST_TO_FIT, fit
from fedbrain.analysis.metrics import regression_sums

SHARE = 0.95  # of new people whose intervals hold the truth
FLATTEST = 0.05  # slope, less its error: a flatter line is not inverted, as in `age_gap`


class Margins(NamedTuple):
    """What validation people say of new ones; NaN where they are too few."""

    people: int  # validation people
    half_width: float  # of a prediction
    slope: float  # of prediction = slope * target + intercept
    intercept: float
    corrected_half_width: float  # of a corrected prediction

    def corrected(self, prediction: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """Predictions without their dependence on the target (Cole)."""
        return (prediction - self.intercept) / self.slope


def half_width(errors: Float[np.ndarray, " n"]) -> float:
    """Of an interval for a new person.

    Args:
      errors: of validation people, one each.

    >>> half_width(np.arange(-19.0, 0.0)), half_width(np.arange(18.0))
    (19.0, nan)
    """
    n = len(errors)
    k = math.ceil(SHARE * (n + 1) - 1e-9)
    return float(np.sort(np.abs(errors))[k - 1]) if k <= n else math.nan


def margins(target: Float[np.ndarray, " n"], prediction: Float[np.ndarray, " n"]) -> Margins:
    """Half-widths from validation people.

    Args:
      target: of each, in its unit.
      prediction: by models that did not train on them.
    """
    target, prediction = (np.asarray(x, np.float64) for x in (target, prediction))
    raw = half_width(prediction - target)
    line = fit(regression_sums(target, prediction))
    if len(target) < FEWEST_TO_FIT or not abs(line.slope) - line.slope_se > FLATTEST:
        return Margins(len(target), raw, math.nan, math.nan, math.nan)
    without = _lines_without_each(target, prediction)
    errors = (prediction - without[1]) / without[0] - target
    return Margins(len(target), raw, line.slope, line.intercept, half_width(errors))


def _lines_without_each(
    x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """(slope, intercept) of the line through all others, for each person."""
    n = len(x) - 1
    sx, sy, sxx, sxy = (v.sum() - v for v in (x, y, x * x, x * y))
    slope = (sxy - sx * sy / n) / (sxx - sx * sx / n)
    return slope, (sy - slope * sx) / n
