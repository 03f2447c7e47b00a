"""FLAME: keep the majority cluster of directions, clip it to the median norm, add a little noise.

The paper clusters with HDBSCAN, smallest cluster n // 2 + 1, one sample as core. Two clusters of a
majority cannot exist, so what HDBSCAN then returns has a closed form: lower a threshold on cosine
distance until the last connected component that holds a majority; its members stay. Minimax path
distances give it without a tree.

References:
  Nguyen et al. (2022), https://arxiv.org/abs/2101.02281
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from fedbrain.aggregators.cohort import Cohort, normalised, reducing, round_key
from fedbrain.aggregators.linear_algebra import combine, gram
from fedbrain.types import Aggregator


class FlameState(NamedTuple):
    """Memory of `flame`."""

    round: Int[Array, ""]  # with the seed: the noise


def majority_cluster(
    distances: Float[Array, "clients clients"], present: Bool[Array, " clients"]
) -> Bool[Array, " clients"]:
    """The tightest single-linkage component that holds more than half of those present.

    >>> at = jnp.array([0.0, 1.0, 1.5, 9.0])
    >>> majority_cluster(jnp.abs(at[:, None] - at[None]), jnp.ones(4, bool)).tolist()
    [True, True, True, False]
    """
    both = present[:, None] & present[None]
    itself = jnp.eye(len(present), dtype=bool)
    bottleneck = jnp.where(both, jnp.where(itself, 0, distances), jnp.inf)

    def through(k: Array, b: Array) -> Array:  # Floyd-Warshall: the smallest largest step of a path
        return jnp.minimum(b, jnp.maximum(b[:, k][:, None], b[k][None]))

    bottleneck = jax.lax.fori_loop(0, len(present), through, bottleneck)
    # where i's component becomes a majority
    threshold = jnp.sort(bottleneck, axis=1)[:, present.sum() // 2]
    centre = jnp.argsort(threshold)[0]
    return present & (bottleneck[centre] <= threshold[centre])


def flame(noise: float = 0.001, seed: int = 0) -> Aggregator:
    """Mean of min(1, S / ||x_i||) x_i over the majority cluster, plus N(0, (noise * S)^2).

    S is the median norm of those present.

    >>> x = jnp.array([[1.0, 0.0], [1.0, 0.0], [-5.0, 9.0]])
    >>> rule = flame(noise=0.0)
    >>> rule.update(x, rule.init(x[0]), weights=jnp.ones(3))[0].tolist()
    [1.0, 0.0]

    Args:
      noise: the paper's lambda for images.
      seed: of the noise.
    """
    if not noise >= 0:
        raise ValueError(f"Expected noise={noise} >= 0.")

    def init(params) -> FlameState:
        del params  # a counter, whatever the model
        return FlameState(jnp.zeros((), jnp.int32))

    def reduce(cohort: Cohort, state: FlameState):
        g = gram(cohort.updates, cohort.present)
        norms = jnp.sqrt(jnp.diag(g))
        cosine = g / jnp.maximum(norms[:, None] * norms[None], 1e-300)
        chosen = majority_cluster(jnp.maximum(1 - cosine, 0), cohort.present)
        bound = jnp.nanmedian(jnp.where(cohort.present, norms, jnp.nan))
        shrink = jnp.minimum(1.0, bound / jnp.maximum(norms, 1e-300))
        mean = combine(cohort.updates, normalised(chosen.astype(g.dtype)) * shrink)
        key = round_key(seed, state.round)
        jitter = jax.random.normal(key, mean.shape, mean.dtype) * (noise * bound).astype(mean.dtype)
        return mean + jitter, state._replace(round=state.round + 1)

    return reducing(reduce, init)
