"""RegSimAgg: weights of every coordinate by its closeness to the mean, times weights by size.

    u_i = (1 / (|x_i - mean| + eps)) / sum_i (...),   a_i = (u_i + p_i) / sum_i (u_i + p_i)

Clients far from the unweighted mean count less. Written from public descriptions of SimAgg and
RegSimAgg; the authors' own regulariser could not be checked.

References:
  Khan et al. (2023), https://arxiv.org/abs/2301.12617
"""

import jax.numpy as jnp
from jaxtyping import Array

from fedbrain.aggregators.cohort import Cohort, reducing
from fedbrain.aggregators.linear_algebra import blockwise
from fedbrain.types import Aggregator


def regsimagg(eps: float = 1e-5) -> Aggregator:
    """Similarity-weighted mean, coordinate by coordinate.

    Args:
      eps: keeps 1 / distance finite; 1e-5 is arbitrary.
    """
    if not eps > 0:
        raise ValueError(f"Expected eps={eps} > 0.")

    def reduce(cohort: Cohort, state):
        here, size = cohort.one_each[:, None], cohort.by_examples[:, None]

        def merge(x: Array) -> Array:
            x = jnp.where(here > 0, x, 0).astype(jnp.float64)
            closeness = jnp.where(here > 0, 1 / (jnp.abs(x - (here * x).sum(0)) + eps), 0)
            weight = closeness / jnp.maximum(closeness.sum(0), 1e-300) + size
            return (weight * x).sum(0) / jnp.maximum(weight.sum(0), 1e-300)

        return blockwise(merge, cohort.updates), state

    return reducing(reduce)
