"""Keeping links that average clients with each other before a robust rule sees them.

References:
  Allouah et al. (2023), nearest-neighbour mixing, https://arxiv.org/abs/2302.01772
  Karimireddy et al. (2022), bucketing, https://arxiv.org/abs/2006.09365
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from fedbrain.aggregators.checks import expect_byzantine
from fedbrain.aggregators.cohort import Cohort, keeping, round_key
from fedbrain.aggregators.linear_algebra import blockwise, gram, squared_distances
from fedbrain.types import PLACE, Aggregator


def _mix(
    matrix: Float[Array, "new clients"],
    x: Float[Array, "clients p"],
    present: Bool[Array, " clients"],
) -> Float[Array, "new p"]:
    """M X, where absent rows of X are not read."""

    def block(rows: Array) -> Array:
        rows = jnp.where(present[:, None], rows, 0).astype(jnp.float64)
        return (matrix @ rows).astype(x.dtype)

    return blockwise(block, x)


def nearest_neighbour_mixing(num_byzantine: int) -> Aggregator:
    """x_i <- the mean of its n - f nearest, itself included.

    >>> x = jnp.array([[1.0], [3.0], [100.0]])
    >>> link = nearest_neighbour_mixing(num_byzantine=1)
    >>> link.update(x, link.init(x[0]), weights=jnp.ones(3))[0].updates.tolist()
    [[2.0], [2.0], [51.5]]

    Args:
      num_byzantine: f.
    """
    f = num_byzantine
    expect_byzantine(f)

    def link(cohort: Cohort, state):
        distances = squared_distances(gram(cohort.updates, cohort.present))
        c = distances.shape[0]
        distances = jnp.where(jnp.eye(c, dtype=bool), -1.0, distances)  # itself first
        distances = jnp.where(cohort.present[None], distances, jnp.inf)
        rank = jnp.argsort(jnp.argsort(distances, axis=1), axis=1)
        count = jnp.maximum(cohort.present.sum() - f, 1)
        near = (rank < count) & cohort.present[None] & cohort.present[:, None]
        mixed = _mix(near / count, cohort.updates, cohort.present)
        return cohort._replace(updates=mixed), state

    return keeping(link)


class BucketingState(NamedTuple):
    """Memory of `bucketing`."""

    round: Int[Array, ""]  # with the seed: the permutation


def bucketing(size: int = 2, seed: int = 0) -> Aggregator:
    """Passes on the means of random buckets of those present: fewer clients, more alike.

    A rule that tolerates f of n needs f of the n / size buckets. Weights of a bucket are sums,
    its metrics are means, like its update: ten alike clients and their five buckets report the same
    local steps and losses.

    >>> x = jnp.array([[1.0], [2.0], [3.0], [4.0]])
    >>> link = bucketing(size=2)
    >>> buckets, _ = link.update(x, link.init(x[0]), weights=jnp.ones(4))
    >>> buckets.updates.shape, float(buckets.updates.mean()), buckets.changed["weights"].tolist()
    ((2, 1), 2.5, [2.0, 2.0])

    Args:
      size: s, 2 in the paper.
      seed: of the permutations, a new one each round.
    """
    if size < 1:
        raise ValueError(f"Expected size={size} >= 1.")

    def init(params) -> BucketingState:
        del params  # a counter, whatever the model
        return BucketingState(jnp.zeros((), jnp.int32))

    def link(cohort: Cohort, state: BucketingState):
        c = cohort.weights.size
        order = jax.random.uniform(round_key(seed, state.round), (c,), jnp.float32)
        order = jnp.where(cohort.present, order, jnp.inf)  # those present come first
        place = jnp.argsort(jnp.argsort(order))
        member = (place[None] // size == jnp.arange(-(-c // size))[:, None]) & cohort.present[None]
        count = jnp.maximum(member.sum(1, keepdims=True), 1)
        total = member.astype(jnp.float64)
        mean = total / count
        metrics = {
            name: mean @ jnp.where(cohort.present, m, 0)
            for name, m in cohort.metrics.items()
            if name != PLACE  # a bucket is no client
        }
        weights = total @ jnp.where(cohort.present, cohort.weights, 0)
        mixed = _mix(mean, cohort.updates, cohort.present)
        extra = cohort.extra
        if extra is not None:
            extra = _mix(mean, extra, cohort.present)
        buckets = Cohort(mixed, weights, metrics, extra, cohort.layers)
        return buckets, state._replace(round=state.round + 1)

    return keeping(link, init)
