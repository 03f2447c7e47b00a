"""Rules that sort the clients coordinate by coordinate.

Each client has one vote, whatever size it claims. `num_byzantine` (f) is how many clients may be
arbitrarily wrong; all need n > 2 f clients present.

References:
  Yin et al. (2018), median and trimmed mean, https://arxiv.org/abs/1803.01498
  Xie et al. (2018), mean around the median, https://arxiv.org/abs/1802.10116
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fedbrain.aggregators.checks import expect_byzantine
from fedbrain.aggregators.cohort import Cohort, reducing
from fedbrain.aggregators.linear_algebra import blockwise
from fedbrain.aggregators.sorting import mean_of_ranks, middle, sorted_rows
from fedbrain.types import Aggregator

Rows = list[Float[Array, " p"]]


def coordinatewise(
    rule: Callable[[Rows, Array], Float[Array, " p"]], *, tolerates: int
) -> Aggregator:
    """A rule of (sorted rows, number present n), undefined unless n > 2 * tolerates.

    >>> rule = coordinatewise(lambda rows, n: rows[0], tolerates=0)  # the smallest
    >>> x = jnp.array([[1.0, 8.0], [3.0, 2.0]])
    >>> rule.update(x, rule.init(x[0]), weights=jnp.ones(2))[0].tolist()
    [1.0, 2.0]
    """
    expect_byzantine(tolerates)

    def reduce(cohort: Cohort, state):
        n = cohort.present.sum()
        direction = blockwise(lambda x: rule(sorted_rows(x, cohort.present), n), cohort.updates)
        return jnp.where(n > 2 * tolerates, direction, jnp.nan), state

    return reducing(reduce)


def median() -> Aggregator:
    """The median of every coordinate: med_i x_i[k].

    >>> x = jnp.array([[1.0, 2.0], [2.0, 3.0], [900.0, -900.0]])
    >>> rule = median()
    >>> rule.update(x, rule.init(x[0]), weights=jnp.ones(3))[0].tolist()
    [2.0, 2.0]
    """
    return coordinatewise(middle, tolerates=0)


def trimmed_mean(num_byzantine: int) -> Aggregator:
    """Drops the f smallest and the f largest values of every coordinate and averages the rest.

    >>> x = jnp.array([[1.0], [2.0], [4.0], [900.0]])
    >>> rule = trimmed_mean(num_byzantine=1)
    >>> rule.update(x, rule.init(x[0]), weights=jnp.ones(4))[0].tolist()
    [3.0]

    Args:
      num_byzantine: f.
    """
    f = num_byzantine
    return coordinatewise(lambda rows, n: mean_of_ranks(rows, jnp.asarray(f), n - f), tolerates=f)


def mean_around_median(num_byzantine: int) -> Aggregator:
    """The mean of the n - f values that are closest to the median, coordinate by coordinate.

    >>> x = jnp.array([[1.0], [2.0], [3.0], [900.0]])
    >>> rule = mean_around_median(num_byzantine=1)
    >>> rule.update(x, rule.init(x[0]), weights=jnp.ones(4))[0].tolist()
    [2.0]

    Args:
      num_byzantine: f.
    """
    f = num_byzantine

    def rule(rows: Rows, n: Array) -> Float[Array, " p"]:
        return mean_of_nearest(rows, n - f, middle(rows, n))

    return coordinatewise(rule, tolerates=f)


def mean_of_nearest(rows: Rows, count: Array, centre: Float[Array, " p"]) -> Float[Array, " p"]:
    """Mean of the `count` values nearest to a centre; `rows` are sorted, infinite where absent.

    The nearest values of a sorted list are consecutive: of the windows [s, s + count) the one whose
    farther end is nearest.

    >>> rows = [jnp.array([1.0]), jnp.array([2.0]), jnp.array([9.0])]
    >>> mean_of_nearest(rows, jnp.asarray(2), jnp.array([3.0])).tolist()
    [1.5]
    """
    stack = jnp.stack([*rows, *[jnp.full_like(rows[0], jnp.inf)] * len(rows)])
    ends = jax.lax.dynamic_slice_in_dim(stack, jnp.maximum(count - 1, 0), len(rows))
    best, first = jnp.full_like(rows[0], jnp.inf), jnp.zeros(rows[0].shape, jnp.int32)
    for start, row in enumerate(rows):
        cost = jnp.maximum(centre - row, ends[start] - centre)
        better = cost < best
        best = jnp.where(better, cost, best)
        first = jnp.where(better, start, first)
    return mean_of_ranks(rows, first, first + count)
