"""Which round is the best, when to lower the learning rate, when to stop: decided once, on the
aggregated model.

FLightcase decides on the local models before aggregation and per client; here the server sees the
pooled validation loss of the model that would be deployed, and every client follows the same
learning rate.
"""

from typing import NamedTuple

import numpy as np


class Selection(NamedTuple):
    """The best round so far, and how long it has stood. Fields are numpy scalars' arrays, ready for
    a checkpoint.
    """

    best_loss: np.ndarray  # float64: pooled validation loss
    best_round: np.ndarray  # int64
    stale: np.ndarray  # int64: rounds since the best one
    plateau: np.ndarray  # int64: rounds since the best one or the last reduction
    learning_rate_scale: np.ndarray  # float64


class Patience(NamedTuple):
    """Rounds without a better validation loss; 0 switches a rule off."""

    stop: int = 0
    plateau: int = 0
    factor: float = 0.5  # of the learning rate, at each plateau


def start() -> Selection:
    """Before the first round.

    >>> int(start().best_round)
    -1
    """
    return Selection(
        *(np.asarray(x) for x in (np.inf, np.int64(-1), np.int64(0), np.int64(0), 1.0))
    )


def observe(
    selection: Selection, valid_loss: float, *, round: int, patience: Patience
) -> Selection:
    """Takes one round's pooled validation loss into account. A NaN is never the best.

    >>> selection = observe(start(), 3.0, round=1, patience=Patience())
    >>> selection = observe(selection, 5.0, round=2, patience=Patience())
    >>> int(selection.best_round), int(selection.stale)
    (1, 1)
    """
    if valid_loss < float(selection.best_loss):
        zero = np.asarray(np.int64(0))
        best = np.asarray(np.float64(valid_loss)), np.asarray(np.int64(round))
        return Selection(*best, zero, zero, selection.learning_rate_scale)
    stale, plateau = selection.stale + 1, selection.plateau + 1
    scale = selection.learning_rate_scale
    if patience.plateau and plateau >= patience.plateau:
        plateau, scale = np.int64(0), scale * patience.factor
    return selection._replace(
        stale=np.asarray(stale), plateau=np.asarray(plateau), learning_rate_scale=np.asarray(scale)
    )


def should_stop(selection: Selection, patience: Patience) -> bool:
    """Early stopping.

    >>> should_stop(start()._replace(stale=np.asarray(4)), Patience(stop=4))
    True
    """
    return bool(patience.stop and selection.stale >= patience.stop)
