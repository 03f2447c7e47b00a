"""Means over clients with weights known before the round: FedAvg's rule and its two relatives."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fedbrain.aggregators.cohort import Cohort, reducing
from fedbrain.aggregators.linear_algebra import combine
from fedbrain.types import Aggregator, PyTree

TINY = 1e-300


def mean_over_clients(tree: PyTree, weights: Float[Array, " clients"]) -> PyTree:
    """sum_i p_i x_i, leaf by leaf, in float64 and client order.

    An absent client's x_i is never read, NaN included.

    >>> tree = {"mean": jnp.array([1.0, 4.0]), "var": jnp.array([2.0, 8.0])}
    >>> jax.tree.map(float, mean_over_clients(tree, jnp.array([2.0, 1.0])))
    {'mean': 2.0, 'var': 4.0}
    """
    with jax.enable_x64(True):
        total = jnp.maximum(weights.astype(jnp.float64).sum(), TINY)
        return jax.tree.map(lambda x: combine(x, weights, total), tree)


def weighted_mean() -> Aggregator:
    """Mean weighted by the number of training examples: sum_i n_i x_i / sum_i n_i.

    >>> x = jnp.array([[1.0, 2.0], [4.0, 8.0], [jnp.nan, jnp.nan]])  # the third one is absent
    >>> rule = weighted_mean()
    >>> rule.update(x, rule.init(x[0]), weights=jnp.array([2.0, 1.0, 0.0]))[0].tolist()
    [2.0, 4.0]

    References:
      McMahan et al. (2017), https://arxiv.org/abs/1602.05629
    """
    return _weighted_by(lambda n: n)


def uniform_mean() -> Aggregator:
    """Every hospital counts the same: sum_i x_i / n.

    One round of it on fine-tuned models is a uniform soup.

    >>> x = jnp.array([[1.0, 2.0], [4.0, 8.0]])
    >>> rule = uniform_mean()
    >>> rule.update(x, rule.init(x[0]), weights=jnp.array([2.0, 1.0]))[0].tolist()
    [2.5, 5.0]

    References:
      Wortsman et al. (2022), model soups, https://arxiv.org/abs/2203.05482
    """
    return _weighted_by(jnp.ones_like)


def sqrt_mean() -> Aggregator:
    """Weights sqrt(n_i): between `weighted_mean` and `uniform_mean`.

    >>> x = jnp.array([[0.0], [1.0]])
    >>> rule = sqrt_mean()
    >>> rule.update(x, rule.init(x[0]), weights=jnp.array([9.0, 1.0]))[0].tolist()
    [0.25]
    """
    return _weighted_by(jnp.sqrt)


def _weighted_by(size: Callable[[Array], Array]) -> Aggregator:
    def mean(cohort: Cohort, state: PyTree) -> tuple[Array, PyTree]:
        weights = jnp.where(cohort.present, size(cohort.weights.astype(jnp.float64)), 0)
        return mean_over_clients(cohort.updates, weights), state

    return reducing(mean)
