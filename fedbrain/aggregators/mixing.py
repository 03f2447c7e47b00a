"""Keeping links that average clients with each other before a robust rule sees them.

References:
  Allouah et al. (2023), nearest-neighbour mixing, https://arxiv.org/abs/2302.01772
  Karimireddy et al. (2022), bucketing, https://arxiv.org/abs/2006.09365
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from fedbrain.aggregators.cohort import Cohort, keeping, round_key
from fedbrain.aggregators.krum import check
from fedbrain.aggregators.linear_algebra import blockwise, gram, squared_distances
from fedbrain.types import Aggregator


def mix(cohort: Cohort, matrix: Float[Array, "new clients"]) -> Float[Array, "new p"]:
    """M X, where absent rows of X are not read."""

    def block(x: Array) -> Array:
        x = jnp.where(cohort.present[:, None], x, 0).astype(jnp.float64)
        return (matrix @ x).astype(cohort.updates.dtype)

    return blockwise(block, cohort.updates)


def nearest_neighbour_mixing(num_byzantine: int) -> Aggregator:
    """x_i <- the mean of its n - f nearest, itself included."""
    f = num_byzantine
    check(f)

    def link(cohort: Cohort, state):
        distances = squared_distances(gram(cohort.updates, cohort.present))
        c = distances.shape[0]
        distances = jnp.where(jnp.eye(c, dtype=bool), -1.0, distances)  # itself first
        rank = jnp.argsort(
            jnp.argsort(jnp.where(cohort.present[None], distances, jnp.inf), axis=1), axis=1
        )
        count = jnp.maximum(cohort.present.sum() - f, 1)
        near = (rank < count) & cohort.present[None] & cohort.present[:, None]
        return cohort._replace(updates=mix(cohort, near / count)), state

    return keeping(link)


class BucketingState(NamedTuple):
    """Memory of `bucketing`."""

    round: Int[Array, ""]  # with the seed: the permutation


def bucketing(size: int = 2, seed: int = 0) -> Aggregator:
    """Shuffles those present into buckets of `size` and passes on the buckets' means: fewer, more
    alike clients.

    A rule that tolerates f of n needs f of the n / size buckets. Weights and metrics of a bucket
    are sums.

    Args:
      size: s, 2 in the paper.
      seed: of the permutations, a new one each round.
    """
    if size < 1:
        raise ValueError(f"Expected size={size} >= 1.")

    def init(params) -> BucketingState:
        del params
        return BucketingState(jnp.zeros((), jnp.int32))

    def link(cohort: Cohort, state: BucketingState):
        c = cohort.weights.size
        order = jax.random.uniform(round_key(seed, state.round), (c,), jnp.float32)
        place = jnp.argsort(
            jnp.argsort(jnp.where(cohort.present, order, jnp.inf))
        )  # those present come first
        member = (place[None] // size == jnp.arange(-(-c // size))[:, None]) & cohort.present[None]
        count = jnp.maximum(member.sum(1, keepdims=True), 1)
        total = member.astype(jnp.float64)
        metrics = {
            name: total @ jnp.where(cohort.present, m, 0) for name, m in cohort.metrics.items()
        }
        weights = total @ jnp.where(cohort.present, cohort.weights, 0)
        mixed = mix(cohort, total / count)
        return Cohort(mixed, weights, metrics), state._replace(round=state.round + 1)

    return keeping(link, init)
