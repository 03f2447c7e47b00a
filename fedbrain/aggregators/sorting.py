"""Order statistics over few clients: sorting networks of `minimum` and `maximum`.

Sorting along the clients axis, coordinate by coordinate, is 80 times slower with a general sort:
3.3 s against 0.04 s for 8 clients and 11.2 M coordinates on two cores.

References:
  Batcher (1968), odd-even merge sort, https://doi.org/10.1145/1468075.1468121
"""

from functools import cache

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


@cache
def network(n: int) -> tuple[tuple[tuple[int, int], ...], ...]:
    """Batcher's odd-even merge network: layers of comparators (low, high) that may run in parallel.

    >>> sum(len(layer) for layer in network(8))
    19
    """
    comparators, p = [], 1
    while p < n:
        k = p
        while k >= 1:
            starts = (
                (i + j, i + j + k)
                for j in range(k % p, n - k, 2 * k)
                for i in range(min(k, n - j - k))
            )
            comparators += [(a, b) for a, b in starts if a // (2 * p) == b // (2 * p)]
            k //= 2
        p *= 2
    depth, layers = [0] * n, {}
    for a, b in comparators:
        layer = max(depth[a], depth[b])
        layers.setdefault(layer, []).append((a, b))
        depth[a] = depth[b] = layer + 1
    return tuple(tuple(layers[d]) for d in sorted(layers))


def sorted_rows(
    x: Float[Array, "clients p"], present: Bool[Array, " clients"]
) -> list[Float[Array, " p"]]:
    """The rows of those present, sorted at every coordinate; absent ones last, as infinity.

    >>> x = jnp.array([[3.0, 1.0], [jnp.nan, jnp.nan], [2.0, 4.0]])
    >>> [row.tolist() for row in sorted_rows(x, jnp.array([True, False, True]))]
    [[2.0, 1.0], [3.0, 4.0], [inf, inf]]
    """
    rows = [jnp.where(present[i], x[i], jnp.inf) for i in range(x.shape[0])]
    for depth, layer in enumerate(network(len(rows))):
        for a, b in layer:
            rows[a], rows[b] = jnp.minimum(rows[a], rows[b]), jnp.maximum(rows[a], rows[b])
        # without a barrier XLA computes shared comparators again for each row that uses them
        if depth % 2:
            rows = jax.lax.optimization_barrier(rows)
    return list(jax.lax.optimization_barrier(rows))


def pick(rows: list[Float[Array, " p"]], rank: Array) -> Float[Array, " p"]:
    """The row of a rank that is known only at run time.

    >>> pick([jnp.array([1.0]), jnp.array([2.0])], jnp.asarray(1)).tolist()
    [2.0]
    """
    chosen = rows[0]
    for i, row in enumerate(rows[1:], 1):
        chosen = jnp.where(rank == i, row, chosen)
    return chosen


def middle(rows: list[Float[Array, " p"]], n: Array) -> Float[Array, " p"]:
    """The median of the first n sorted rows: the mean of the two in the middle when n is even.

    >>> middle([jnp.array([1.0]), jnp.array([2.0]), jnp.array([jnp.inf])], jnp.asarray(2)).tolist()
    [1.5]
    """
    return 0.5 * pick(rows, (n - 1) // 2) + 0.5 * pick(rows, n // 2)


def mean_of_ranks(rows: list[Float[Array, " p"]], first: Array, last: Array) -> Float[Array, " p"]:
    """Mean of the sorted rows with first <= rank < last; NaN when there is none.

    >>> rows = [jnp.array([1.0]), jnp.array([2.0]), jnp.array([4.0])]
    >>> mean_of_ranks(rows, jnp.asarray(1), jnp.asarray(3)).tolist()
    [3.0]
    """
    total = jnp.zeros_like(rows[0])
    for rank, row in enumerate(rows):
        total = total + jnp.where((rank >= first) & (rank < last), row, 0)
    return total / jnp.where(last > first, last - first, jnp.nan).astype(total.dtype)
