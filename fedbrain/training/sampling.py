"""Who takes part in a round: a function of (names, round, seed) alone, so that a resumed run draws
the same cohorts.
"""

from collections.abc import Callable

import numpy as np

Sampling = Callable[
    [list[str], int, int], list[str]
]  # (sorted names, round, seed) -> the round's cohort


def everyone() -> Sampling:
    """All clients, every round."""
    return lambda names, round, seed: names


def uniform(count: int) -> Sampling:
    """`count` clients without replacement; all when there are not so many."""
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

    References:
      Chang et al. (2018), https://doi.org/10.1093/jamia/ocy017
    """
    return lambda names, round, seed: [names[(round - 1) % len(names)]]


SAMPLINGS = {"everyone": everyone, "uniform": uniform, "cyclic": cyclic}
