"""Predictions with their targets: numbers, or probabilities of classes."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int


class Predictions(NamedTuple):
    """One prediction per scan. A subject may occur several times (sessions, repeats)."""

    subjects: Sequence[str]  # of each scan
    target: Float[np.ndarray, " n"]  # in its unit, or the number of a class
    prediction: Float[np.ndarray, "n *k"]  # in the target's unit [n], or probabilities [n k]
    # likewise, without an image: the median training target, or the shares of training people
    floor: Float[np.ndarray, "n *k"]
    classes: tuple[str, ...] = ()  # their names; empty: the target is a number


def concatenate(parts: Sequence[Predictions]) -> Predictions:
    """Predictions of several sites or repeats as one."""
    subjects = [s for p in parts for s in p.subjects]
    target, prediction, floor = (np.concatenate([p[k] for p in parts]) for k in (1, 2, 3))
    return Predictions(subjects, target, prediction, floor, parts[0].classes)


def take(p: Predictions, chosen: Bool[np.ndarray, " n"] | Int[np.ndarray, " m"]) -> Predictions:
    """Some of the scans."""
    subjects = np.asarray(p.subjects)[chosen].tolist()
    return p._replace(
        subjects=subjects,
        target=p.target[chosen],
        prediction=p.prediction[chosen],
        floor=p.floor[chosen],
    )


def likeliest(probabilities: Float[np.ndarray, "n k"]) -> Int[np.ndarray, " n"]:
    """The number of each scan's likeliest class, the first one of several.

    >>> likeliest(np.array([[0.2, 0.8], [0.5, 0.5]])).tolist()
    [1, 0]
    """
    return probabilities.argmax(axis=1)


def require_same_scans(a: Predictions, b: Predictions) -> None:
    """Raises ValueError when the two do not predict the same scans in the same order."""
    same_subjects = list(a.subjects) == list(b.subjects)
    if not same_subjects or not np.array_equal(a.target, b.target):
        raise ValueError(
            "Expected two predictions of the same scans, got different subjects or targets."
        )
