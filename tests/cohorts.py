"""Random cohorts that other libraries and ours aggregate: numpy alone, for environments without
jax.
"""

import numpy as np

CLIENTS, COORDINATES = 11, 13


def draw(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(x [clients, coordinates], training examples [clients]): a tight majority, up to two that are
    off.
    """
    rng = np.random.default_rng([seed, 0x60])
    x = rng.normal(1, 0.5, (CLIENTS, COORDINATES)) * rng.lognormal(0, 1, COORDINATES)
    x[: rng.integers(0, 3)] += rng.normal(0, 3, COORDINATES)
    return x, rng.integers(1, 50, CLIENTS)
