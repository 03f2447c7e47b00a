"""A small problem of a study: clients with training and test examples, and how their features were
made comparable.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

Examples = tuple[np.ndarray, np.ndarray]  # (features [n, p] float32, targets [n] float32)


class ClientData(NamedTuple):
    """The examples of one client."""

    train: Examples
    test: Examples


Finish = Callable[[dict[str, ClientData]], dict[str, ClientData]]


class Problem(NamedTuple):
    """The clients of a small federation."""

    clients: dict[str, ClientData]  # finished: features are comparable
    unit: str  # of the error: years, or accuracy for classes
    synthetic: bool
    drawn: dict[str, ClientData]  # as they were split, before `finish`
    finish: Finish  # makes features comparable, by training examples alone
    attackers: int = 0  # the last clients, whose examples are copies of those of others
    one_test: bool = False  # all clients are tested on the same examples


Draw = Callable[[int], Problem]


def unchanged(clients: dict[str, ClientData]) -> dict[str, ClientData]:
    """Features that are comparable as they are."""
    return clients


def split(x: np.ndarray, y: np.ndarray, share: float, rng: np.random.Generator) -> ClientData:
    """A share of the examples, at least one, becomes the test set."""
    order = rng.permutation(len(y))
    tests = max(1, round(share * len(y)))
    test, train = order[:tests], order[tests:]
    return ClientData((x[train], y[train]), (x[test], y[test]))


def standardise(clients: dict[str, ClientData]) -> dict[str, ClientData]:
    """Zero mean and unit variance over the training examples of all clients."""
    n = sum(len(c.train[1]) for c in clients.values())
    mean = sum(c.train[0].sum(0, dtype=np.float64) for c in clients.values()) / n
    square = sum((c.train[0].astype(np.float64) ** 2).sum(0) for c in clients.values()) / n
    sd = np.sqrt(np.maximum(square - mean**2, 0)) + 1e-9

    def scale(examples: Examples) -> Examples:
        return ((examples[0] - mean) / sd).astype(np.float32), examples[1]

    return {name: ClientData(scale(c.train), scale(c.test)) for name, c in clients.items()}
