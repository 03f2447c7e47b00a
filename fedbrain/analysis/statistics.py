"""What a reviewer asks for: accuracy with intervals over subjects, its floor, differences between
regimes.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from scipy import stats

from fedbrain.analysis.metrics import regression_metrics, regression_sums

SAMPLES = 2000  # of a bootstrap; the interval's own error is then about 1.5 % of its width


class Predictions(NamedTuple):
    """One prediction per scan, and who it is of. A subject may occur several times (sessions,
    repeats).
    """

    subjects: Sequence[str]
    target: Float[np.ndarray, " n"]
    prediction: Float[np.ndarray, " n"]
    floor: Float[
        np.ndarray, " n"
    ]  # what the median predictor says: the median target of the same training set


def concatenate(parts: Sequence[Predictions]) -> Predictions:
    """Predictions of several sites or repeats as one."""
    subjects = [s for p in parts for s in p.subjects]
    return Predictions(subjects, *(np.concatenate([p[k] for p in parts]) for k in (1, 2, 3)))


def cluster_means(
    values: Float[np.ndarray, "n k"], subjects: Sequence[str], *, seed: int = 0
) -> Float[np.ndarray, "s k"]:
    """Bootstrap replicates of column means, drawing subjects (with all their scans) with
    replacement.
    """
    _, which = np.unique(np.asarray(subjects), return_inverse=True)
    groups = int(which.max()) + 1
    sums = np.stack([np.bincount(which, column, groups) for column in values.T], 1)
    counts = np.bincount(which, minlength=groups)
    draws = np.random.default_rng(seed).multinomial(groups, np.full(groups, 1 / groups), SAMPLES)
    return (draws @ sums) / (draws @ counts)[:, None]


def interval(replicates: Float[np.ndarray, " s"]) -> list[float]:
    """The central 95 %."""
    low, high = np.quantile(replicates, [0.025, 0.975])
    return [float(low), float(high)]


def accuracy(p: Predictions) -> dict[str, Any]:
    """n, subjects, MAE with its 95 % interval over subjects, RMSE, R2, Pearson r and p, and the
    median predictor's MAE.
    """
    error = np.abs(p.prediction - p.target).astype(np.float64)
    floor = np.abs(p.floor - p.target).astype(np.float64)
    metrics = regression_metrics(regression_sums(p.target, p.prediction))
    low_high = interval(cluster_means(error[:, None], p.subjects)[:, 0])
    defined = len(p.target) > 2 and np.isfinite(metrics["r"])
    return {
        "n": len(p.target),
        "subjects": len(set(p.subjects)),
        "mae": float(error.mean()),
        "mae_95": low_high,
        "rmse": metrics["rmse"],
        "r2": metrics["r2"],
        "r": metrics["r"],
        "p": float(np.asarray(stats.pearsonr(p.target, p.prediction))[1])
        if defined
        else float("nan"),
        "floor_mae": float(floor.mean()),
    }


def difference(first: Predictions, second: Predictions) -> dict[str, Any]:
    """Paired difference of absolute errors, first - second, on the same scans: mean and 95 %
    interval over subjects.

    Raises:
      ValueError: when the two do not predict the same scans in the same order.
    """
    if list(first.subjects) != list(second.subjects) or not np.array_equal(
        first.target, second.target
    ):
        raise ValueError(
            "Expected two predictions of the same scans, got different subjects or targets."
        )
    d = (
        np.abs(first.prediction - first.target) - np.abs(second.prediction - second.target)
    ).astype(np.float64)
    return {
        "mae_difference": float(d.mean()),
        "mae_difference_95": interval(cluster_means(d[:, None], first.subjects)[:, 0]),
    }
