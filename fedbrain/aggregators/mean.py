"""The weighted mean over clients: FedAvg's reducing link."""

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from fedbrain.types import Aggregator, PyTree


def normalised(weights: Float[Array, " clients"]) -> Float[Array, " clients"]:
    """p_i = n_i / sum n over present clients; all zero when nobody is present."""
    return weights / jnp.maximum(weights.sum(), jnp.finfo(weights.dtype).tiny)


def mean_over_clients(tree: PyTree, weights: Float[Array, " clients"]) -> PyTree:
    """sum_i p_i x_i, leaf by leaf, accumulated in client order. An absent client's x_i is never read, NaN included."""
    p = normalised(weights)

    def mean(x: Array) -> Array:
        total = jnp.zeros_like(x[0])
        for i in range(x.shape[0]):  # a fixed order of additions gives the same bits under every driver
            total = total + jnp.where(p[i] > 0, x[i], 0) * p[i].astype(x.dtype)
        return total

    return jax.tree.map(mean, tree)


def weighted_mean() -> Aggregator:
    """Mean weighted by the number of training examples.

    >>> g = jnp.array([[1.0, 2.0], [4.0, 8.0], [jnp.nan, jnp.nan]])
    >>> direction, _ = weighted_mean().update(g, optax.EmptyState(), weights=jnp.array([2.0, 1.0, 0.0]))
    >>> [float(x) for x in direction]
    [2.0, 4.0]

    References:
      McMahan et al. (2017), https://arxiv.org/abs/1602.05629
    """

    def init(params: PyTree) -> optax.EmptyState:
        del params  # no memory
        return optax.EmptyState()

    def update(updates, state, params=None, **extra):
        del params  # coordinate-wise
        return mean_over_clients(updates, extra["weights"]), state

    return optax.GradientTransformationExtraArgs(init, update)
