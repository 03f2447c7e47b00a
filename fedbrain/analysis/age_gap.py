"""The age gap, predicted - true, and what is left of its dependence on age after a correction.

    prediction = a * age + b                       fitted on validation scans, from sums that sites
    may send
    Cole:                corrected = (prediction - b) / a
    Beheshti, de Lange:  corrected = prediction - ((a - 1) * age + b)

The second one uses the true age, so its errors are smaller by construction and say nothing about a
new person whose age is not known. Corrected numbers are not comparable with raw ones.

References:
  Cole et al. (2018), https://doi.org/10.1038/mp.2017.62; Beheshti et al. (2019),
  https://doi.org/10.1016/j.nicl.2019.102063; de Lange et al. (2022),
  https://doi.org/10.1002/hbm.25837
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from fedbrain.analysis.metrics import regression_sums
from fedbrain.analysis.statistics import Predictions

Numbers = Float[np.ndarray, " n"]


class Line(NamedTuple):
    """prediction = slope * target + intercept; NaN where there are too few or equal targets."""

    slope: float
    intercept: float


def fit(sums: Mapping[str, float]) -> Line:
    """Least squares from `fedbrain.analysis.metrics.regression_sums`, of one site or added over
    sites.
    """
    n = sums["n"]
    spread = sums["xx"] - sums["x"] ** 2 / n if n > 1 else 0.0
    if spread <= 1e-9 * max(sums["xx"], 1e-9):
        return Line(math.nan, math.nan)
    slope = (sums["xy"] - sums["x"] * sums["y"] / n) / spread
    return Line(slope, (sums["y"] - slope * sums["x"]) / n)


def cole(line: Line, target: Numbers, prediction: Numbers) -> Numbers:
    """Corrected predictions; NaN where the fit is too flat to be inverted."""
    del target
    return (prediction - line.intercept) / (line.slope if abs(line.slope) > 0.05 else math.nan)


def de_lange(line: Line, target: Numbers, prediction: Numbers) -> Numbers:
    """Corrected predictions, by means of the true target."""
    return prediction - ((line.slope - 1) * target + line.intercept)


def age_gap(test: Predictions, valid: Mapping[str, float]) -> dict[str, float]:
    """Mean, SD and slope of the gap on test scans, raw and after both corrections.

    Args:
      test: predictions to correct.
      valid: sums over validation scans, on which the line is fitted.
    """
    line = fit(valid)
    gap = test.prediction - test.target
    out = {"mean": float(gap.mean()), "sd": float(gap.std(ddof=1)) if len(gap) > 1 else math.nan}
    out["slope"] = fit(regression_sums(test.target, gap)).slope
    out |= {"correction_slope": line.slope, "correction_intercept": line.intercept}
    for name, correct in (("", cole), ("de_lange_", de_lange)):
        left = correct(line, test.target, test.prediction) - test.target
        out[f"{name}corrected_mean"] = float(left.mean())
        out[f"{name}corrected_slope"] = fit(regression_sums(test.target, left)).slope
        out[f"{name}corrected_mae"] = float(np.abs(left).mean())
    return out
