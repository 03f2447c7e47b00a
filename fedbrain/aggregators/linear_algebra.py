"""Sums over clients and over coordinates: the only passes over a cohort's matrix that linear rules need.

Products of two float32 numbers are exact in float64, so these sums round so rarely that their float32 value depends neither
on the order of clients nor on how a compiler or a driver cuts the work. Means are divided after the sum: p_i = n_i / n is
rounded, n_i is not, and one mean in 10,000 lies exactly between two float32 numbers.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

BLOCK = 1 << 15  # coordinates at a time: 32 clients fit into a core's cache (measured: 2^13 to 2^16 are alike)


def combine(
    updates: Float[Array, "clients *p"], coefficients: Float[Array, " clients"], divisor: Float[Array, ""] | float = 1.0
) -> Float[Array, "*p"]:
    """sum_i a_i x_i / divisor in client order, in float64. A client with a_i = 0 is not read, NaN included."""
    with jax.enable_x64(True):
        a = coefficients.astype(jnp.float64)
        total = jnp.zeros(updates.shape[1:], jnp.float64)
        for i in range(updates.shape[0]):
            total = total + jnp.where(a[i] == 0, 0, updates[i]).astype(jnp.float64) * a[i]
        return (total / divisor).astype(updates.dtype)


def blockwise(
    f: Callable[[Float[Array, "clients block"]], Float[Array, "*rows block"]], updates: Float[Array, "clients p"]
) -> Float[Array, "*rows p"]:
    """Applies a coordinate-wise function block by block, so that what it holds in between stays in the cache.

    The last block overlaps its neighbour: every block has one shape, and the function is compiled once.
    """
    p = updates.shape[1]
    block = min(2 * BLOCK, p)
    out = jax.eval_shape(f, jax.ShapeDtypeStruct((updates.shape[0], block), updates.dtype))

    def body(k: Array, result: Array) -> Array:
        start = jnp.minimum(k * block, p - block)
        part = f(jax.lax.dynamic_slice_in_dim(updates, start, block, axis=1))
        return jax.lax.dynamic_update_slice_in_dim(result, part, start, axis=-1)

    return jax.lax.fori_loop(0, -(-p // block), body, jnp.zeros((*out.shape[:-1], p), out.dtype))


def gram(updates: Float[Array, "clients p"], present: Bool[Array, " clients"]) -> Float[Array, "clients clients"]:
    """G = X X^T in float64, zero where a client is absent: every distance and every angle between clients."""
    with jax.enable_x64(True):
        c, p = updates.shape
        block = min(BLOCK, p)

        def body(k: Array, total: Array) -> Array:
            start = jnp.minimum(k * block, p - block)
            x = jax.lax.dynamic_slice_in_dim(updates, start, block, axis=1)
            fresh = start + jnp.arange(block) >= k * block  # the last block overlaps its neighbour
            x = jnp.where(present[:, None] & fresh, x, 0).astype(jnp.float64)
            return total + x @ x.T

        g = jax.lax.fori_loop(0, -(-p // block), body, jnp.zeros((c, c), jnp.float64))
        return 0.5 * (g + g.T)


def squared_distances(g: Float[Array, "clients clients"]) -> Float[Array, "clients clients"]:
    """||x_i - x_j||^2 = G_ii + G_jj - 2 G_ij. In float64 it needs no centring: the error is 1e-16 of a squared norm."""
    norms = jnp.diag(g)
    return jnp.maximum(norms[:, None] + norms[None] - 2 * g, 0.0)


def from_centre(g: Float[Array, "clients clients"], coefficients: Float[Array, " clients"]) -> Float[Array, " clients"]:
    """||x_i - sum_j a_j x_j||^2 = G_ii - 2 (G a)_i + a^T G a."""
    along = g @ coefficients
    return jnp.maximum(jnp.diag(g) - 2 * along + coefficients @ along, 0.0)


def centred(g: Float[Array, "clients clients"], p: Float[Array, " clients"]) -> Float[Array, "clients clients"]:
    """The Gram matrix of x_i - sum_j p_j x_j: H G H^T with H = I - 1 p^T, zero for those with p_i = 0."""
    h = jnp.eye(g.shape[0]) - p[None]
    here = (p > 0).astype(g.dtype)
    return (h @ g @ h.T) * here[:, None] * here[None]
