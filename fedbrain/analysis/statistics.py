"""Accuracy of predictions with intervals over subjects, and paired differences of two methods."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from scipy import stats

from fedbrain.analysis.metrics import regression_metrics, regression_sums

SAMPLES = 2000  # bootstrap draws; the interval's own error is then about 1.5 % of its width


class Predictions(NamedTuple):
    """One prediction per scan. A subject may occur several times (sessions, repeats)."""

    subjects: Sequence[str]  # of each scan
    target: Float[np.ndarray, " n"]
    prediction: Float[np.ndarray, " n"]
    floor: Float[np.ndarray, " n"]  # of the median predictor: the median training target


def concatenate(parts: Sequence[Predictions]) -> Predictions:
    """Predictions of several sites or repeats as one."""
    subjects = [s for p in parts for s in p.subjects]
    return Predictions(subjects, *(np.concatenate([p[k] for p in parts]) for k in (1, 2, 3)))


def cluster_means(
    values: Float[np.ndarray, "n k"], subjects: Sequence[str], *, seed: int = 0
) -> Float[np.ndarray, "s k"]:
    """Bootstrap replicates of column means.

    Subjects, with all their scans, are drawn with replacement.

    Args:
      values: a row a scan.
      subjects: of the scans.
      seed: of the draws.

    Returns:
      A row a replicate.

    >>> cluster_means(np.ones((4, 1)), ["a", "a", "b", "c"]).shape
    (2000, 1)
    """
    _, group = np.unique(np.asarray(subjects), return_inverse=True)
    groups = int(group.max()) + 1
    sums = np.stack([np.bincount(group, column, groups) for column in values.T], 1)
    counts = np.bincount(group, minlength=groups)
    draws = np.random.default_rng(seed).multinomial(groups, np.full(groups, 1 / groups), SAMPLES)
    return (draws @ sums) / (draws @ counts)[:, None]


def interval(replicates: Float[np.ndarray, " s"]) -> list[float]:
    """The central 95 % of bootstrap replicates."""
    low, high = np.quantile(replicates, [0.025, 0.975])
    return [float(low), float(high)]


def accuracy(p: Predictions) -> dict[str, Any]:
    """Accuracy of predictions.

    Returns:
      n, subjects, MAE and its 95 % interval over subjects, RMSE and the median predictor's MAE in
      target units, R2, Pearson r and p; NaN where not defined.
    """
    error = np.abs(p.prediction - p.target).astype(np.float64)
    floor = np.abs(p.floor - p.target).astype(np.float64)
    metrics = regression_metrics(regression_sums(p.target, p.prediction))
    p_of_r = float("nan")
    if len(p.target) > 2 and np.isfinite(metrics["r"]):
        p_of_r = float(np.asarray(stats.pearsonr(p.target, p.prediction))[1])
    return {
        "n": len(p.target),
        "subjects": len(set(p.subjects)),
        "mae": float(error.mean()),
        "mae_95": interval(cluster_means(error[:, None], p.subjects)[:, 0]),
        "rmse": metrics["rmse"],
        "r2": metrics["r2"],
        "r": metrics["r"],
        "p": p_of_r,
        "floor_mae": float(floor.mean()),
    }


def difference(first: Predictions, second: Predictions) -> dict[str, Any]:
    """Paired difference of absolute errors, first - second, on the same scans.

    Returns:
      Its mean and 95 % interval over subjects, in target units.

    Raises:
      ValueError: when the two do not predict the same scans in the same order.
    """
    same_subjects = list(first.subjects) == list(second.subjects)
    if not same_subjects or not np.array_equal(first.target, second.target):
        raise ValueError(
            "Expected two predictions of the same scans, got different subjects or targets."
        )
    first_error, second_error = (np.abs(p.prediction - p.target) for p in (first, second))
    d = (first_error - second_error).astype(np.float64)
    return {
        "mae_difference": float(d.mean()),
        "mae_difference_95": interval(cluster_means(d[:, None], first.subjects)[:, 0]),
    }
