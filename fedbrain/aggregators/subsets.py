"""Rules that try every subset of n - f clients: exact, for small federations.

References:
  El Mhamdi et al. (2018), minimum-diameter averaging, https://arxiv.org/abs/1802.07927
  Allouah et al. (2023), smallest maximum eigenvalue averaging, https://arxiv.org/abs/2302.04787
"""

from collections.abc import Callable
from itertools import combinations
from math import comb

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from fedbrain.aggregators.checks import expect_byzantine
from fedbrain.aggregators.cohort import Cohort, linear, normalised
from fedbrain.aggregators.linear_algebra import centred, gram, squared_distances
from fedbrain.types import Aggregator

MOST_SUBSETS = 200_000  # 20 clients of which 6 are Byzantine: 38,760

Cost = Callable[[Bool[Array, " clients"]], Float[Array, " costs"]]  # of a subset


def minimum_diameter(num_byzantine: int) -> Aggregator:
    """The mean of the n - f clients whose largest mutual distance is smallest. Needs n > 2f.

    >>> x = jnp.array([[1.0], [2.0], [900.0]])
    >>> rule = minimum_diameter(num_byzantine=1)
    >>> rule.update(x, rule.init(x[0]), weights=jnp.ones(3))[0].tolist()
    [1.5]

    Args:
      num_byzantine: f.
    """

    def diameter(g: Array) -> Cost:
        distances = squared_distances(g)

        def cost(subset: Array) -> Array:
            among = jnp.where(subset[:, None] & subset[None], distances, 0)
            return jnp.stack([among.max(), among.sum()])  # many subsets share a diameter

        return cost

    return _best_subset(num_byzantine, diameter)


def smallest_eigenvalue(num_byzantine: int) -> Aggregator:
    """SMEA: the mean of the n - f clients that spread least along any direction. Needs n > 2f.

    Their covariance has the smallest largest eigenvalue.

    >>> x = jnp.array([[1.0], [2.0], [900.0]])
    >>> rule = smallest_eigenvalue(num_byzantine=1)
    >>> rule.update(x, rule.init(x[0]), weights=jnp.ones(3))[0].tolist()
    [1.5]

    Args:
      num_byzantine: f.
    """

    def spread(g: Array) -> Cost:
        def cost(subset: Array) -> Array:
            return jnp.linalg.eigvalsh(centred(g, normalised(subset.astype(g.dtype))))[-1:]

        return cost

    return _best_subset(num_byzantine, spread)


def _best_subset(f: int, cost_of: Callable[[Array], Cost]) -> Aggregator:
    expect_byzantine(f)

    def coefficients(cohort: Cohort) -> Array:
        c = cohort.updates.shape[0]
        if comb(c, f) > MOST_SUBSETS:
            raise ValueError(
                f"Expected at most {MOST_SUBSETS} subsets, got {comb(c, f)} of {c} clients: use"
                " krum or median."
            )
        left_out = np.zeros((comb(c, f), c), bool)
        for row, chosen in enumerate(combinations(range(c), f)):
            left_out[row, list(chosen)] = True
        # only someone who is there can be left out
        possible = jnp.all(~left_out | cohort.present, axis=1)
        subsets = cohort.present & ~left_out
        cost = jax.lax.map(cost_of(gram(cohort.updates, cohort.present)), subsets, batch_size=1024)
        cost = jnp.where(possible[:, None], cost, jnp.inf)
        best = subsets[jnp.lexsort(tuple(cost.T[::-1]))[0]]
        alpha = normalised(best.astype(jnp.float64))
        return jnp.where(cohort.present.sum() > 2 * f, alpha, jnp.nan)

    return linear(coefficients)
