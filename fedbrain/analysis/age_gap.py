"""The age gap, predicted - true, and two corrections of its dependence on age.

    prediction = a * age + b             fitted on validation scans, from sums that sites may send
    Cole:                corrected = (prediction - b) / a
    Beheshti, de Lange:  corrected = prediction - ((a - 1) * age + b)

The second one uses the true age, so its errors are smaller by construction and say nothing about a
new person whose age is not known. Corrected numbers are not comparable with raw ones.

References:
  Cole et al. (2018), https://doi.org/10.1038/mp.2017.62
  Beheshti et al. (2019), https://doi.org/10.1016/j.nicl.2019.102063
  de Lange et al. (2022), https://doi.org/10.1002/hbm.25837
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
    """Least squares from `regression_sums`, of one site or added over sites.

    >>> x = np.array([20.0, 40.0, 60.0])
    >>> fit(regression_sums(x, 0.5 * x + 10))
    Line(slope=0.5, intercept=10.0)
    """
    n = sums["n"]
    spread = sums["xx"] - sums["x"] ** 2 / n if n > 1 else 0.0
    if spread <= 1e-9 * max(sums["xx"], 1e-9):
        return Line(math.nan, math.nan)
    slope = (sums["xy"] - sums["x"] * sums["y"] / n) / spread
    return Line(slope, (sums["y"] - slope * sums["x"]) / n)


def cole(line: Line, target: Numbers, prediction: Numbers) -> Numbers:
    """Corrected predictions; NaN where the fit is too flat to be inverted."""
    del target  # this correction does not need it
    slope = line.slope if abs(line.slope) > 0.05 else math.nan
    return (prediction - line.intercept) / slope


def de_lange(line: Line, target: Numbers, prediction: Numbers) -> Numbers:
    """Corrected predictions, with the help of the true target."""
    return prediction - ((line.slope - 1) * target + line.intercept)


def age_gap(test: Predictions, valid: Mapping[str, float]) -> dict[str, float]:
    """Mean, SD and slope of the gap on test scans, raw and after both corrections.

    Args:
      test: predictions to correct.
      valid: sums over validation scans, on which the line is fitted.

    Returns:
      Means, SD and MAE in target units; slopes are changes of the gap per unit of the target.
    """
    line = fit(valid)
    gap = test.prediction - test.target
    results = {
        "mean": float(gap.mean()),
        "sd": float(gap.std(ddof=1)) if len(gap) > 1 else math.nan,
        "slope": fit(regression_sums(test.target, gap)).slope,
        "correction_slope": line.slope,
        "correction_intercept": line.intercept,
    }
    for name, correct in (("", cole), ("de_lange_", de_lange)):
        corrected = correct(line, test.target, test.prediction) - test.target
        results[f"{name}corrected_mean"] = float(corrected.mean())
        results[f"{name}corrected_slope"] = fit(regression_sums(test.target, corrected)).slope
        results[f"{name}corrected_mae"] = float(np.abs(corrected).mean())
    return results
