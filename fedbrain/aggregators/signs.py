"""Rules that ask whether the clients agree on the sign of a coordinate.

References:
  Bernstein et al. (2019), signSGD with majority vote, https://arxiv.org/abs/1810.05291
  Tenison et al. (2023), gradient-masked averaging, https://arxiv.org/abs/2201.11986
  Yadav et al. (2023), TIES merging, https://arxiv.org/abs/2306.01708
"""

import jax
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


def sign_majority() -> Aggregator:
    """sign(sum_i sign x_i): one vote each, whatever the size of the update. The server's learning
    rate is the step.
    """

    def reduce(cohort: Cohort, state):
        return blockwise(
            lambda x: jnp.sign(_weighted_sum(jnp.sign(x), cohort.one_each)), cohort.updates
        ), state

    return reducing(reduce)


def gradient_masked_mean(threshold: float = 0.4) -> Aggregator:
    """FedGMA: mean * (1 if A >= threshold else A) with the agreement A = |sum_i p_i sign x_i|,
    coordinate by coordinate.

    Args:
      threshold: tau in [0, 1]; the authors try .4 to .8.
    """
    if not 0 <= threshold <= 1:
        raise ValueError(f"Expected 0 <= threshold={threshold} <= 1.")

    def reduce(cohort: Cohort, state):
        def masked(x: Array) -> Array:
            agreement = jnp.abs(_weighted_sum(jnp.sign(x), cohort.by_examples))
            return _weighted_sum(x, cohort.by_examples) * jnp.where(
                agreement >= threshold, 1, agreement
            )

        return blockwise(masked, cohort.updates), state

    return reducing(reduce)


def kth_largest(x: Float[Array, " p"], k: int) -> Float[Array, ""]:
    """The k-th largest of non-negative float32 numbers, by bisection on their bits: 31 counts
    instead of a sort.
    """
    bits = jax.lax.bitcast_convert_type(x.astype(jnp.float32), jnp.int32)

    def halve(_, bounds: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = bounds  # at least k numbers are >= low, fewer are >= high
        middle = low + (high - low) // 2
        enough = jnp.sum(bits >= middle, dtype=jnp.int32) >= k
        return jnp.where(enough, middle, low), jnp.where(enough, high, middle)

    bounds = (jnp.zeros((), jnp.int32), jnp.asarray(0x7F800001, jnp.int32))
    return jax.lax.bitcast_convert_type(jax.lax.fori_loop(0, 32, halve, bounds)[0], jnp.float32)


def ties(density: float = 0.2) -> Aggregator:
    """TIES merging: of each client the `density` largest coordinates, the sign with the larger sum,
    the mean of who has it.

    Args:
      density: share of coordinates that a client keeps; .2 in the paper.
    """
    if not 0 < density <= 1:
        raise ValueError(f"Expected 0 < density={density} <= 1.")

    def reduce(cohort: Cohort, state):
        x = jnp.where(cohort.present[:, None], cohort.updates, 0)
        keep = max(1, round(density * x.shape[1]))
        smallest = jax.lax.map(lambda row: kth_largest(jnp.abs(row), keep), x)

        def merge(block: Array) -> Array:
            block = jnp.where(
                cohort.present[:, None] & (jnp.abs(block).astype(jnp.float32) >= smallest[:, None]),
                block,
                0,
            )
            elected = jnp.sign(block.astype(jnp.float64).sum(0))
            agree = (jnp.sign(block) == elected) & (block != 0)
            return jnp.where(agree, block, 0).astype(jnp.float64).sum(0) / jnp.maximum(
                agree.sum(0), 1
            )

        return blockwise(merge, cohort.updates), state

    return reducing(reduce)
