"""A rule that asks whether the clients agree on the sign of a coordinate.

References:
  Tenison et al. (2023), gradient-masked averaging, https://arxiv.org/abs/2201.11986
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from fedbrain.aggregators.cohort import Cohort, reducing
from fedbrain.aggregators.linear_algebra import blockwise
from fedbrain.types import Aggregator


def _weighted_sum(x: Float[Array, "clients p"], p: Float[Array, " clients"]) -> Float[Array, " p"]:
    total = jnp.zeros_like(x[0], jnp.float64)
    for row, weight in zip(x, p):
        total = total + jnp.where(weight == 0, 0, row).astype(jnp.float64) * weight
    return total


def gradient_masked_mean(threshold: float = 0.4) -> Aggregator:
    """FedGMA: where clients disagree on the sign of a coordinate, the mean counts less.

    direction = mean * (1 if A >= threshold else A) with the agreement A = |sum_i p_i sign x_i|.

    >>> x = jnp.array([[3.0, 3.0], [3.0, 3.0], [3.0, 3.0], [3.0, -3.0]])
    >>> rule = gradient_masked_mean(threshold=0.8)
    >>> rule.update(x, rule.init(x[0]), weights=jnp.ones(4))[0].tolist()  # A = 1 and .5
    [3.0, 0.75]

    Args:
      threshold: tau in [0, 1]; the authors try .4 to .8.
    """
    if not 0 <= threshold <= 1:
        raise ValueError(f"Expected 0 <= threshold={threshold} <= 1.")

    def reduce(cohort: Cohort, state):
        def masked(x: Array) -> Array:
            agreement = jnp.abs(_weighted_sum(jnp.sign(x), cohort.by_examples))
            mask = jnp.where(agreement >= threshold, 1, agreement)
            return _weighted_sum(x, cohort.by_examples) * mask

        return blockwise(masked, cohort.updates), state

    return reducing(reduce)
