"""Accuracy of predictions with intervals over people, and paired differences of two methods."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy import stats

from fedbrain.analysis.intervals import Group, by_person, of_errors, over_people, standard_error
from fedbrain.analysis.metrics import regression_metrics, regression_sums
from fedbrain.analysis.predictions import Predictions, concatenate, require_same_scans


def errors(p: Predictions) -> Group:
    """Absolute errors of each person."""
    return by_person(np.abs(p.prediction - p.target), p.subjects)


def person_means(p: Predictions) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, " k"]]:
    """(target, prediction) of each person: means over scans, and over seeds put together."""
    targets, predictions = (by_person(v, p.subjects) for v in (p.target, p.prediction))
    return targets.sums / targets.scans, predictions.sums / predictions.scans


def correlation(p: Predictions) -> dict[str, Any]:
    """Pearson r over people, its Fisher interval and p value; NaN where not defined.

    A person counts once, with means over scans: scans of one person are not independent.
    """
    target, prediction = person_means(p)
    r = regression_metrics(regression_sums(target, prediction))["r"]
    if len(target) < 3 or not np.isfinite(r):
        return {"r": r if len(target) > 2 else np.nan, "r_95": [np.nan, np.nan], "p": np.nan}
    test: Any = stats.pearsonr(target, prediction)
    low, high = test.confidence_interval(0.95) if len(target) > 3 else (np.nan, np.nan)
    return {"r": r, "r_95": [float(low), float(high)], "p": float(test.pvalue)}


def accuracy(p: Predictions) -> dict[str, Any]:
    """Accuracy of predictions at one site.

    Returns:
      n, subjects, MAE with its standard error and 95 % interval over people, RMSE and the median
      predictor's MAE in target units, R2 over scans, Pearson r and p over people; NaN where not
      defined.
    """
    return pooled_accuracy([p])


def pooled_accuracy(sites: Sequence[Predictions]) -> dict[str, Any]:
    """Accuracy over all scans of several sites; people are drawn within their site."""
    p = concatenate(sites)
    groups = [errors(part) for part in sites]
    metrics = regression_metrics(regression_sums(p.target, p.prediction))
    floor = np.abs(p.floor - p.target).astype(np.float64)
    return {
        "n": len(p.target),
        "subjects": len(set(p.subjects)),
        "mae": metrics["mae"],
        "mae_se": standard_error(errors(p)),
        "mae_95": of_errors(over_people(groups)),
        "rmse": metrics["rmse"],
        "r2": metrics["r2"],
        **correlation(p),
        "floor_mae": float(floor.mean()),
    }


def _differences(a: Predictions, b: Predictions) -> Group:
    """Absolute errors of the first minus those of the second, of each person."""
    require_same_scans(a, b)
    a_error, b_error = (np.abs(p.prediction - p.target) for p in (a, b))
    return by_person(a_error - b_error, a.subjects)


def mean_difference(first: Predictions, second: Predictions) -> float:
    """MAE of the first minus that of the second, on the same scans."""
    group = _differences(first, second)
    return float(group.sums.sum() / group.scans.sum())


def difference(first: Predictions, second: Predictions) -> dict[str, Any]:
    """`pooled_difference` at one site."""
    return pooled_difference([first], [second])


def pooled_difference(
    first: Sequence[Predictions], second: Sequence[Predictions]
) -> dict[str, Any]:
    """Paired difference of absolute errors, first - second, on the same scans of several sites.

    Returns:
      Its mean and 95 % interval over people, in target units.

    Raises:
      ValueError: when the two do not predict the same scans in the same order.
    """
    groups = [_differences(a, b) for a, b in zip(first, second, strict=True)]
    total = sum(g.sums.sum() for g in groups) / sum(g.scans.sum() for g in groups)
    return {
        "mae_difference": float(total),
        "mae_difference_95": list(over_people(groups)),
    }
