"""Attackers who go as far as they can without being farther from the honest than these are from one
another: what rules that measure distances do not see.

    m = mean - gamma s, with s the standard deviation of the honest, coordinate by coordinate
    min-max:  the largest gamma with max_i ||m - x_i|| <= max_ij ||x_i - x_j||
    min-sum:  the largest gamma with sum_i ||m - x_i||^2 <= max_i sum_j ||x_i - x_j||^2

Both are the roots of quadratic equations in gamma, which the paper finds by bisection.

References:
  Shejwalkar and Houmansadr (2021), https://doi.org/10.14722/ndss.2021.24498
"""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Float

from fedbrain.aggregators.attacks.omniscient import moments, replaced
from fedbrain.aggregators.cohort import Cohort, normalised
from fedbrain.aggregators.linear_algebra import from_centre, gram, squared_distances
from fedbrain.types import Aggregator

# (||s||^2; <s, x_i - mean> and ||x_i - mean||^2, 0 where not honest; squared distances between
# honest ones, who is honest) -> gamma
Farthest = Callable[[Array, Array, Array, Array, Array], Float[Array, ""]]


def _farthest(num_byzantine: int, farthest: Farthest) -> Aggregator:
    def attack(cohort: Cohort, honest: Array) -> Array:
        mean, spread = moments(cohort, honest)
        g = gram(cohort.updates, honest, spread)
        p = normalised(honest.astype(g.dtype))
        both = honest[:, None] & honest[None]
        apart = jnp.where(both, squared_distances(g[:-1, :-1]), 0)
        along = jnp.where(honest, g[:-1, -1] - p @ g[:-1, -1], 0)
        away = jnp.where(honest, from_centre(g[:-1, :-1], p), 0)
        gamma = farthest(g[-1, -1], along, away, apart, honest)
        return mean - gamma * spread

    return replaced(num_byzantine, attack)


def min_max(num_byzantine: int) -> Aggregator:
    """Nobody honest is farther from the attackers than the two honest that are farthest apart.

    >>> x = jnp.array([[0.0], [1.0], [2.0], [0.0]])
    >>> link = min_max(num_byzantine=1)
    >>> print(link.update(x, link.init(x[0]), weights=jnp.ones(4))[0].updates[-1].round(3))
    [0.]

    Args:
      num_byzantine: f.
    """

    def farthest(square, along, away, apart, honest) -> Array:
        # ||x_i - mean + gamma s||^2 = away + 2 gamma along + gamma^2 square <= the largest apart
        slack = jnp.maximum(apart.max() - away, 0)
        root = (jnp.sqrt(along**2 + square * slack) - along) / jnp.maximum(square, 1e-300)
        gamma = jnp.min(jnp.where(honest, root, jnp.inf))
        return jnp.where(square > 0, gamma, 0)

    return _farthest(num_byzantine, farthest)


def min_sum(num_byzantine: int) -> Aggregator:
    """The attackers' squared distances to the honest add up to no more than those of the honest one
    that is farthest from the others.

    >>> x = jnp.array([[0.0], [1.0], [2.0], [0.0]])
    >>> link = min_sum(num_byzantine=1)
    >>> print(link.update(x, link.init(x[0]), weights=jnp.ones(4))[0].updates[-1].round(3))
    [0.]

    Args:
      num_byzantine: f.
    """

    def farthest(square, along, away, apart, honest) -> Array:
        del along  # its sum is 0
        slack = jnp.maximum(apart.sum(1).max() - away.sum(), 0)
        gamma = jnp.sqrt(slack / jnp.maximum(square * honest.sum(), 1e-300))
        return jnp.where(square > 0, gamma, 0)

    return _farthest(num_byzantine, farthest)
