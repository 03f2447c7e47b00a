"""Which updates are finite: a server does not use the others."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from fedbrain.types import PyTree


def finite_clients(tree: PyTree, weights: Float[Array, " clients"]) -> Bool[Array, " clients"]:
    """Which clients hold finite numbers only, and a finite weight that is not negative.

    >>> tree = {"kernel": jnp.array([[1.0, 2.0], [jnp.nan, 4.0], [5.0, 6.0]])}
    >>> finite_clients(tree, jnp.array([1.0, 1.0, -1.0])).tolist()
    [True, False, False]
    """

    def magnitude(leaf: Array) -> Float[Array, " clients"]:
        # a sum of magnitudes is finite unless a number is not; one pass without a temporary
        size = jnp.abs(leaf.reshape(leaf.shape[0], -1)).astype(jnp.float32)
        return jnp.sum(size * 2.0**-40, axis=1)

    # A loop, not a chain of `&`: XLA copies the cheap into the fusion of every leaf that the
    # weights reach, leaves squared (the server's program for the 364 leaves of DenseNet-121
    # compiled in 359 s, now in 22 s).
    each = jnp.stack([weights, *map(magnitude, jax.tree.leaves(tree))])
    return jax.lax.fori_loop(0, len(each), lambda k, ok: ok & jnp.isfinite(each[k]), weights >= 0)


def finite(tree: PyTree) -> Bool[Array, ""]:
    """Whether a tree holds finite numbers only.

    >>> bool(finite({"kernel": jnp.array([1.0, jnp.inf])}))
    False
    """
    return finite_clients(jax.tree.map(lambda x: x[None], tree), jnp.ones(1))[0]
