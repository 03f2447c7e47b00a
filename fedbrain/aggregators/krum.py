"""Krum, Multi-Krum and Bulyan: trust the clients that lie close to many others.

With f = `num_byzantine` of n clients present, the score of client i is the sum of its squared
distances to its n - f - 2 nearest others. All work on one Gram matrix of deltas in float64:
distances between weights in float32 are noise.

References:
  Blanchard et al. (2017), https://papers.nips.cc/paper/6617
  El Mhamdi et al. (2018), Bulyan, https://arxiv.org/abs/1802.07927
"""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from fedbrain.aggregators.checks import expect_byzantine
from fedbrain.aggregators.cohort import Cohort, linear, normalised, reducing
from fedbrain.aggregators.linear_algebra import blockwise, gram, squared_distances
from fedbrain.aggregators.order_statistics import mean_of_nearest
from fedbrain.aggregators.sorting import middle, sorted_rows
from fedbrain.types import Aggregator


def scores(
    distances: Float[Array, "clients clients"], alive: Bool[Array, " clients"], neighbours: Array
) -> Float[Array, " clients"]:
    """Sum of squared distances to the nearest others, infinite for those not alive.

    >>> square = jnp.square(jnp.arange(3.0)[:, None] - jnp.arange(3.0)[None])
    >>> scores(square, jnp.array([True, True, True]), jnp.asarray(1)).tolist()
    [1.0, 1.0, 1.0]
    >>> scores(square, jnp.array([True, False, True]), jnp.asarray(1)).tolist()
    [4.0, inf, 4.0]
    """
    c = distances.shape[0]
    others = alive[:, None] & alive[None] & ~jnp.eye(c, dtype=bool)
    nearest = jnp.sort(jnp.where(others, distances, jnp.inf), axis=1)
    count = jnp.clip(neighbours, 1, jnp.maximum(alive.sum() - 1, 1))
    total = jnp.sum(jnp.where(jnp.arange(c)[None] < count, nearest, 0), axis=1)
    return jnp.where(alive, total, jnp.inf)


def ranks(score: Float[Array, " clients"]) -> Array:
    """Rank of each client, 0 = best.

    >>> ranks(jnp.array([0.5, 0.1, 0.9])).tolist()
    [1, 0, 2]
    """
    return jnp.argsort(jnp.argsort(score))


def krum(num_byzantine: int, excluded: int = 2) -> Aggregator:
    """The update of the one client with the lowest score. Needs n >= 2f + 3.

    >>> x = jnp.array([[1.0], [2.0], [2.0], [3.0], [900.0]])
    >>> rule = krum(num_byzantine=1)
    >>> rule.update(x, rule.init(x[0]), weights=jnp.ones(5))[0].tolist()
    [2.0]
    >>> four = jnp.array([1.0, 1.0, 1.0, 1.0, 0.0])  # one is absent: too few
    >>> rule.update(x, rule.init(x[0]), weights=four)[0].tolist()
    [nan]

    Args:
      num_byzantine: f.
      excluded: neighbours are n - f - excluded; 2 as published (byzfl counts with 1).
    """
    return _krum(num_byzantine, excluded, jnp.ones_like)


def multi_krum(num_byzantine: int, excluded: int = 2) -> Aggregator:
    """The mean of the n - f clients with the lowest scores. Needs n >= 2f + 3.

    Arguments as `krum`.

    >>> x = jnp.array([[1.0], [2.0], [2.0], [3.0], [900.0]])
    >>> rule = multi_krum(num_byzantine=1)
    >>> rule.update(x, rule.init(x[0]), weights=jnp.ones(5))[0].tolist()
    [2.0]
    """
    return _krum(num_byzantine, excluded, lambda n: n - num_byzantine)


def _krum(f: int, excluded: int, chosen: Callable[[Array], Array]) -> Aggregator:
    expect_byzantine(f)

    def coefficients(cohort: Cohort) -> Array:
        n = cohort.present.sum()
        distances = squared_distances(gram(cohort.updates, cohort.present))
        best = ranks(scores(distances, cohort.present, n - f - excluded)) < chosen(n)
        alpha = normalised((best & cohort.present).astype(jnp.float64))
        return jnp.where(n >= 2 * f + 3, alpha, jnp.nan)

    return linear(coefficients)


def bulyan(num_byzantine: int) -> Aggregator:
    """Krum chooses n - 2f clients one by one, then the mean around their median. Needs n >= 4f + 3.

    The second step averages, coordinate by coordinate, the n - 4f values nearest to the median.

    >>> x = jnp.array([[1.0], [2.0], [2.0], [2.0], [2.0], [3.0], [900.0]])
    >>> rule = bulyan(num_byzantine=1)
    >>> rule.update(x, rule.init(x[0]), weights=jnp.ones(7))[0].tolist()
    [2.0]

    Args:
      num_byzantine: f.
    """
    f = num_byzantine
    expect_byzantine(f)

    def reduce(cohort: Cohort, state):
        n = cohort.present.sum()
        distances = squared_distances(gram(cohort.updates, cohort.present))
        alive, chosen = cohort.present, jnp.zeros_like(cohort.present)
        for step in range(cohort.updates.shape[0] - 2 * f):  # with absent clients it ends earlier
            score = scores(distances, alive, alive.sum() - f - 2)
            total = jnp.sum(jnp.where(alive[:, None] & alive[None], distances, 0), axis=1)
            # the last few scores tie: two clients are each other's nearest
            best = jnp.lexsort((total, score))[0]
            picked = (jnp.arange(alive.size) == best) & (step < n - 2 * f)
            alive, chosen = alive & ~picked, chosen | picked

        def nearest(x):
            rows = sorted_rows(x, chosen)
            return mean_of_nearest(rows, n - 4 * f, middle(rows, n - 2 * f))

        return jnp.where(n >= 4 * f + 3, blockwise(nearest, cohort.updates), jnp.nan), state

    return reducing(reduce)
