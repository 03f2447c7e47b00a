"""Sums over clients and over coordinates: all passes over a cohort that linear rules need.

Products of two float32 numbers are exact in float64, so these sums round so rarely that their
float32 value depends neither on the order of clients nor on how a compiler or a driver cuts the
work. Means are divided after the sum: p_i = n_i / n is rounded, n_i is not, and one mean in 10,000
lies exactly between two float32 numbers.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

# Coordinates at a time: 8 to 32 clients in float64 fit into a core's cache (of 2^12 to 2^16
# measured).
BLOCK = 1 << 14


def combine(
    updates: Float[Array, "clients *p"],
    coefficients: Float[Array, " clients"],
    divisor: Float[Array, ""] | float = 1.0,
) -> Float[Array, "*p"]:
    """sum_i a_i x_i / divisor in client order, in float64.

    A client with a_i = 0 is not read, NaN included.

    >>> x = jnp.array([[1.0, 2.0], [3.0, 4.0], [jnp.nan, jnp.nan]])
    >>> combine(x, jnp.array([1.0, 2.0, 0.0]), 2.0).tolist()
    [3.5, 5.0]
    """
    with jax.enable_x64(True):
        a = coefficients.astype(jnp.float64)
        total = jnp.zeros(updates.shape[1:], jnp.float64)
        for i in range(updates.shape[0]):
            total = total + jnp.where(a[i] == 0, 0, updates[i]).astype(jnp.float64) * a[i]
        return (total / divisor).astype(updates.dtype)


def blockwise(
    f: Callable[[Float[Array, "clients block"]], Float[Array, "*rows block"]],
    updates: Float[Array, "clients p"],
) -> Float[Array, "*rows p"]:
    """Applies a coordinate-wise function block by block, so that temporaries stay in the cache.

    The last block overlaps its neighbour: every block has one shape, and the function is compiled
    once.

    >>> blockwise(lambda x: x.max(0), jnp.array([[1.0, 5.0], [3.0, 4.0]])).tolist()
    [3.0, 5.0]
    """
    p = updates.shape[1]
    block = min(4 * BLOCK, p)
    out = jax.eval_shape(f, jax.ShapeDtypeStruct((updates.shape[0], block), updates.dtype))

    def body(k: Array, result: Array) -> Array:
        start = jnp.minimum(k * block, p - block)
        part = f(jax.lax.dynamic_slice_in_dim(updates, start, block, axis=1))
        return jax.lax.dynamic_update_slice_in_dim(result, part, start, axis=-1)

    return jax.lax.fori_loop(0, -(-p // block), body, jnp.zeros((*out.shape[:-1], p), out.dtype))


def over_blocks(
    f: Callable[[Array, Array], Array],
    updates: Float[Array, "clients p"],
    *rows: Float[Array, " p"],
) -> Array:
    """The sum over blocks of f(x, fresh), in float64 where f asks for it.

    >>> x = jnp.array([[1.0, 2.0], [3.0, 4.0]])
    >>> over_blocks(lambda x, fresh: jnp.where(fresh, x, 0).sum(1), x).tolist()
    [3.0, 7.0]

    Args:
      f: of x [clients + rows, block] and fresh [block], False for what the block before had.
      updates: of the clients.
      *rows: further ones, below the clients'.
    """
    with jax.enable_x64(True):
        p = updates.shape[1]
        block = min(BLOCK, p)

        def part(start: Array) -> Array:
            x = jax.lax.dynamic_slice_in_dim(updates, start, block, axis=1)
            more = [jax.lax.dynamic_slice_in_dim(row, start, block)[None] for row in rows]
            return jnp.concatenate([x, *(row.astype(x.dtype) for row in more)])

        def body(k: Array, total: Array) -> Array:
            start = jnp.minimum(k * block, p - block)  # the last block overlaps its neighbour
            return total + f(part(start), start + jnp.arange(block) >= k * block)

        out = jax.eval_shape(lambda: f(part(jnp.asarray(0)), jnp.ones(block, bool)))
        return jax.lax.fori_loop(0, -(-p // block), body, jnp.zeros(out.shape, out.dtype))


def gram(
    updates: Float[Array, "clients p"], present: Bool[Array, " clients"], *rows: Float[Array, " p"]
) -> Float[Array, "n n"]:
    """G = X X^T in float64, zero where a client is absent: all distances and angles.

    >>> gram(jnp.array([[1.0, 2.0], [3.0, 4.0]]), jnp.array([True, True])).tolist()
    [[5.0, 11.0], [11.0, 25.0]]

    Args:
      updates: X.
      present: who takes part.
      *rows: further ones (a memory, a direction), below the clients'.
    """
    with jax.enable_x64(True):
        keep = jnp.concatenate([present, jnp.ones(len(rows), bool)])

        def square(x: Array, fresh: Array) -> Array:
            x = jnp.where(keep[:, None] & fresh, x, 0).astype(jnp.float64)
            if not 6 <= len(x) <= 24:
                return x @ x.T
            # clients last: XLA multiplies 8 of them 1.5 times faster
            columns = jax.lax.optimization_barrier(x.T)
            return columns.T @ columns

        g = over_blocks(square, updates, *rows)
        return 0.5 * (g + g.T)


def squared_norms(
    updates: Float[Array, "clients p"], present: Bool[Array, " clients"]
) -> Float[Array, " clients"]:
    """||x_i||^2 in float64; 0 where absent.

    >>> squared_norms(jnp.array([[1.0, 2.0], [3.0, 4.0]]), jnp.array([True, False])).tolist()
    [5.0, 0.0]
    """

    def square(x: Array, fresh: Array) -> Array:
        x = jnp.where(present[:, None] & fresh, x, 0).astype(jnp.float64)
        return jnp.sum(jnp.square(x), axis=1)

    return over_blocks(square, updates)


def squared_distances(g: Float[Array, "clients clients"]) -> Float[Array, "clients clients"]:
    """||x_i - x_j||^2 = G_ii + G_jj - 2 G_ij.

    In float64 it needs no centring: the error is 1e-16 of a squared norm.

    >>> squared_distances(jnp.array([[5.0, 11.0], [11.0, 25.0]])).tolist()
    [[0.0, 8.0], [8.0, 0.0]]
    """
    norms = jnp.diag(g)
    return jnp.maximum(norms[:, None] + norms[None] - 2 * g, 0.0)


def from_centre(
    g: Float[Array, "clients clients"], coefficients: Float[Array, " clients"]
) -> Float[Array, " clients"]:
    """||x_i - sum_j a_j x_j||^2 = G_ii - 2 (G a)_i + a^T G a.

    >>> from_centre(jnp.array([[5.0, 11.0], [11.0, 25.0]]), jnp.array([0.5, 0.5])).tolist()
    [2.0, 2.0]
    """
    along = g @ coefficients
    return jnp.maximum(jnp.diag(g) - 2 * along + coefficients @ along, 0.0)


def centred(
    g: Float[Array, "clients clients"], p: Float[Array, " clients"]
) -> Float[Array, "clients clients"]:
    """The Gram matrix of x_i - sum_j p_j x_j: H G H^T with H = I - 1 p^T, zero where p_i = 0.

    >>> centred(jnp.array([[5.0, 11.0], [11.0, 25.0]]), jnp.array([0.5, 0.5])).tolist()
    [[2.0, -2.0], [-2.0, 2.0]]
    """
    h = jnp.eye(g.shape[0]) - p[None]
    here = (p > 0).astype(g.dtype)
    return (h @ g @ h.T) * here[:, None] * here[None]
