"""Rules that sort the clients coordinate by coordinate. Each client has one vote, whatever size it
claims.

`num_byzantine` (f) is how many clients may be arbitrarily wrong; all need n > 2 f clients present.

References:
  Yin et al. (2018), median and trimmed mean, https://arxiv.org/abs/1803.01498
  Xie et al. (2018), mean around the median, https://arxiv.org/abs/1802.10116
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fedbrain.aggregators.cohort import Cohort, reducing
from fedbrain.aggregators.linear_algebra import blockwise
from fedbrain.aggregators.sorting import mean_of_ranks, middle, sorted_rows
from fedbrain.types import Aggregator

Rows = list[Float[Array, " p"]]


def coordinatewise(
    rule: Callable[[Rows, Array], Float[Array, " p"]], *, tolerates: int
) -> Aggregator:
    """A rule of (sorted rows, number present n), undefined unless n > 2 * tolerates."""
    if tolerates < 0:
        raise ValueError(f"Expected num_byzantine={tolerates} >= 0.")

    def reduce(cohort: Cohort, state):
        n = cohort.present.sum()
        direction = blockwise(lambda x: rule(sorted_rows(x, cohort.present), n), cohort.updates)
        return jnp.where(n > 2 * tolerates, direction, jnp.nan), state

    return reducing(reduce)


def median() -> Aggregator:
    """The median of every coordinate: med_i x_i[k]."""
    return coordinatewise(middle, tolerates=0)


def trimmed_mean(num_byzantine: int) -> Aggregator:
    """Drops the f smallest and the f largest values of every coordinate and averages the rest."""
    f = num_byzantine
    return coordinatewise(lambda rows, n: mean_of_ranks(rows, jnp.asarray(f), n - f), tolerates=f)


def mean_around_median(num_byzantine: int) -> Aggregator:
    """The mean of the n - f values that are closest to the median, coordinate by coordinate."""
    f = num_byzantine
    return coordinatewise(
        lambda rows, n: mean_of_nearest(rows, n - f, middle(rows, n)), tolerates=f
    )


def mean_of_nearest(rows: Rows, count: Array, centre: Float[Array, " p"]) -> Float[Array, " p"]:
    """Mean of the `count` values nearest to a centre; `rows` are sorted, infinite where absent.

    The nearest values of a sorted list are consecutive: of the windows [s, s + count) the one whose
    farther end is nearest.
    """
    stack = jnp.stack([*rows, *[jnp.full_like(rows[0], jnp.inf)] * len(rows)])
    ends = jax.lax.dynamic_slice_in_dim(stack, jnp.maximum(count - 1, 0), len(rows))
    best, first = jnp.full_like(rows[0], jnp.inf), jnp.zeros(rows[0].shape, jnp.int32)
    for start, row in enumerate(rows):
        cost = jnp.maximum(centre - row, ends[start] - centre)
        better = cost < best
        best, first = jnp.where(better, cost, best), jnp.where(better, start, first)
    return mean_of_ranks(rows, first, first + count)
