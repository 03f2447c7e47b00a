"""The age gap, predicted - true, and two corrections of its dependence on age.

    prediction = a * age + b             fitted on validation people, from sums that sites may send
    Cole:                corrected = (prediction - b) / a
    Beheshti, de Lange:  corrected = prediction - ((a - 1) * age + b)

The second one uses the true age, so its errors are smaller by construction and say nothing about a
new person whose age is not known. Corrected numbers are not comparable with raw ones. Intervals of
corrected numbers hold the uncertainty of the fitted line and that of the test people. A line of
fewer than 20 people is not used.

References:
  Cole et al. (2018), https://doi.org/10.1038/mp.2017.62
  Beheshti et al. (2019), https://doi.org/10.1016/j.nicl.2019.102063
  de Lange et al. (2022), https://doi.org/10.1002/hbm.25837
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from scipy import stats

from fedbrain.analysis.intervals import UNDEFINED, Interval, by_person, standard_error
from fedbrain.analysis.metrics import regression_sums
from fedbrain.analysis.predictions import Predictions
from fedbrain.analysis.statistics import person_means

FEWEST_TO_FIT = 20  # validation people
Numbers = Float[np.ndarray, " n"]


class Line(NamedTuple):
    """prediction = slope * target + intercept; NaN where there are too few or equal targets."""

    slope: float
    intercept: float
    people: int  # that it was fitted on
    centre: float  # mean target: there, errors of slope and height are independent
    slope_se: float
    height_se: float  # of the line at the centre


def fit(sums: Mapping[str, float]) -> Line:
    """Least squares from `regression_sums` of one value a person, of one site or added over sites.

    >>> x = np.array([20.0, 40.0, 60.0])
    >>> fit(regression_sums(x, 0.5 * x + 10))[:3]
    (0.5, 10.0, 3)
    """
    n = int(sums["n"])
    spread = sums["xx"] - sums["x"] ** 2 / n if n > 1 else 0.0
    if spread <= 1e-9 * max(sums["xx"], 1e-9):
        return Line(math.nan, math.nan, n, math.nan, math.nan, math.nan)
    product = sums["xy"] - sums["x"] * sums["y"] / n
    slope = product / spread
    centre = sums["x"] / n
    left = max(sums["yy"] - sums["y"] ** 2 / n - slope * product, 0.0)
    variance = left / (n - 2) if n > 2 else math.nan
    errors = math.sqrt(variance / spread), math.sqrt(variance / n)
    return Line(slope, sums["y"] / n - slope * centre, n, centre, *errors)


def cole(line: Line, target: Numbers, prediction: Numbers) -> Numbers:
    """Corrected predictions; NaN where the fit is too flat to be inverted."""
    del target  # this correction does not need it
    slope = line.slope if abs(line.slope) > 0.05 else math.nan
    return (prediction - line.intercept) / slope


def de_lange(line: Line, target: Numbers, prediction: Numbers) -> Numbers:
    """Corrected predictions, with the help of the true target."""
    return prediction - ((line.slope - 1) * target + line.intercept)


def two_sided(value: float, error: float, degrees: int) -> Interval:
    """The 95 % interval of a value with a standard error; not defined without degrees of freedom.

    >>> two_sided(1.0, 0.5, 0)
    (nan, nan)
    """
    if degrees < 1 or not math.isfinite(error):
        return UNDEFINED
    half = float(stats.t.ppf(0.975, degrees)) * error
    return value - half, value + half


class Summary(NamedTuple):
    """Of a gap: its mean over scans, its slope over people, the mean of its size over scans."""

    mean: float
    slope: float  # change of the gap per unit of the target
    mae: float


def _summaries(test: Predictions, prediction: Numbers) -> tuple[Summary, Summary]:
    """(values, standard errors over test people)."""
    changed = test._replace(prediction=prediction)
    gap = prediction - test.target
    target, means = person_means(changed)
    line = fit(regression_sums(target, means - target))
    sizes, gaps = (by_person(v, test.subjects) for v in (np.abs(gap), gap))
    values = Summary(float(gap.mean()), line.slope, float(np.abs(gap).mean()))
    return values, Summary(standard_error(gaps), line.slope_se, standard_error(sizes))


def _corrected(correct: Callable[..., Numbers], line: Line, test: Predictions) -> dict[str, Any]:
    """Mean, slope and MAE after a correction, with intervals."""
    if line.people < FEWEST_TO_FIT:
        undefined = {f"corrected_{k}": math.nan for k in Summary._fields}
        return undefined | {f"corrected_{k}_95": list(UNDEFINED) for k in Summary._fields}

    def at(slope_errors: int, height_errors: int) -> np.ndarray:
        slope = line.slope + slope_errors * line.slope_se
        height = line.slope * line.centre + line.intercept + height_errors * line.height_se
        moved = line._replace(slope=slope, intercept=height - slope * line.centre)
        prediction = correct(moved, test.target, test.prediction)
        return np.asarray(_summaries(test, prediction)[0])

    values, errors = _summaries(test, correct(line, test.target, test.prediction))
    of_line = ((at(1, 0) - at(-1, 0)) / 2) ** 2 + ((at(0, 1) - at(0, -1)) / 2) ** 2
    total = np.sqrt(np.asarray(errors) ** 2 + of_line)
    degrees = min(len(set(test.subjects)), line.people - 1) - 1
    results: dict[str, Any] = {}
    for name, value, error, of in zip(Summary._fields, values, total, of_line):
        # a line that may be flat is not inverted
        results[f"corrected_{name}"] = value if math.isfinite(of) else math.nan
        results[f"corrected_{name}_95"] = list(two_sided(value, float(error), degrees))
    return results


def age_gap(test: Predictions, valid: Mapping[str, float]) -> dict[str, Any]:
    """Mean, SD and slope of the gap on test scans, raw and after both corrections.

    Args:
      test: predictions to correct.
      valid: sums over validation people, one value each, on which the line is fitted.

    Returns:
      Means, SD and MAE in target units; slopes are changes of the gap per unit of the target; `_95`
      their intervals. Corrected numbers are NaN where fewer than FEWEST_TO_FIT people were fitted,
      and those of Cole where the line, or the line less its error, is too flat.
    """
    line = fit(valid)
    gap = np.asarray(test.prediction - test.target, np.float64)
    values, errors = _summaries(test, np.asarray(test.prediction))
    people = len(set(test.subjects))
    offset_se = math.hypot(line.height_se, line.slope_se * line.centre)
    results: dict[str, Any] = {
        "mean": values.mean,
        "mean_95": list(two_sided(values.mean, errors.mean, people - 1)),
        "sd": float(gap.std(ddof=1)) if len(gap) > 1 else math.nan,
        "slope": values.slope,
        "slope_95": list(two_sided(values.slope, errors.slope, people - 2)),
        "correction_people": line.people,
        "correction_slope": line.slope,
        "correction_slope_95": list(two_sided(line.slope, line.slope_se, line.people - 2)),
        "correction_intercept": line.intercept,
        "correction_intercept_95": list(two_sided(line.intercept, offset_se, line.people - 2)),
    }
    for name, correct in (("", cole), ("de_lange_", de_lange)):
        corrected = _corrected(correct, line, test)
        results |= {f"{name}{key}": value for key, value in corrected.items()}
    return results
