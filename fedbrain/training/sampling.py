"""Who takes part in a round: a function of (names, round, seed) alone, so that a resumed run draws
the same cohorts.
"""

from typing import Protocol, runtime_checkable

import numpy as np


@runtime_checkable
class Sampling(Protocol):
    """Draws the cohort of a round."""

    def __call__(self, names: list[str], round: int, seed: int, /) -> list[str]:
        """Takes all names, sorted; `round` counts from 1."""
        ...


def everyone() -> Sampling:
    """All clients, every round.

    >>> everyone()(["amber", "birch"], 1, 0)
    ['amber', 'birch']
    """
    return lambda names, round, seed: names


def uniform(count: int) -> Sampling:
    """`count` clients without replacement; all when there are not so many.

    >>> uniform(2)(["amber", "birch", "cedar"], 1, 0)
    ['birch', 'cedar']
    """
    if count < 1:
        raise ValueError(f"Expected count={count} >= 1.")

    def draw(names: list[str], round: int, seed: int) -> list[str]:
        if count >= len(names):
            return names
        rng = np.random.default_rng([seed, round, 0x5A])
        return sorted(rng.choice(names, count, replace=False).tolist())

    return draw


def cyclic() -> Sampling:
    """One client after the other: cyclic weight transfer, the travelling model.

    With `weighted_mean` and `sgd(1.0)` the model of one hospital is where the next one starts.

    >>> [cyclic()(["amber", "birch"], round, 0) for round in (1, 2, 3)]
    [['amber'], ['birch'], ['amber']]

    References:
      Chang et al. (2018), https://doi.org/10.1093/jamia/ocy017
    """
    return lambda names, round, seed: [names[(round - 1) % len(names)]]


SAMPLINGS = {"everyone": everyone, "uniform": uniform, "cyclic": cyclic}
