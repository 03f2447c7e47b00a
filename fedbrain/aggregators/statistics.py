"""Rules for what is sent beside the delta: batch statistics, values that no optimiser, clip or
noise link ever touches, and what an algorithm uploads (SCAFFOLD's controls, Mime's gradients).

    mean:    mu = sum p_i mu_i,   var = sum p_i var_i
    pooled:  mu = sum p_i mu_i,   var = sum p_i (var_i + mu_i^2) - mu^2     (law of total variance)
    median:  mu = med_i mu_i,     var = med_i var_i,     every upload u_i <- med_j u_j

A rule for deltas that survives f wrong clients protects the model only when these survive them too:
the median does, for less than half of the clients. The fourth choice of a configuration, `local`,
is no rule: the statistics are then private leaves that stay in the hospital
(`algorithms.sharing`), as in SiloBN.

References:
  Andreux et al. (2020), SiloBN, https://arxiv.org/abs/2008.07424
"""

from collections.abc import Mapping
from typing import NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fedbrain.aggregators.linear_algebra import blockwise
from fedbrain.aggregators.mean import mean_over_clients
from fedbrain.aggregators.sorting import middle, sorted_rows
from fedbrain.types import ModelState, PyTree


@runtime_checkable
class StatisticsRule(Protocol):
    """How the shared batch statistics of a cohort become one."""

    def __call__(self, model_state: ModelState, weights: Float[Array, " clients"], /) -> ModelState:
        """Takes statistics [clients, ...] and training examples; 0 = absent."""
        ...


@runtime_checkable
class UploadsRule(Protocol):
    """What of a cohort's uploads the algorithm's server sees."""

    def __call__(self, uploads: PyTree, weights: Float[Array, " clients"], /) -> PyTree:
        """Takes uploads [clients, ...] and training examples, and returns uploads of that shape."""
        ...


class Beside(NamedTuple):
    """How what is sent beside the delta is combined: a row of `BESIDE`."""

    statistics: StatisticsRule
    uploads: UploadsRule


def mean_statistics(model_state: ModelState, weights: Float[Array, " clients"]) -> ModelState:
    """Weighted mean of every statistic: ignores how far the clients' means are apart.

    >>> state = {"norm": {"mean": jnp.array([-1.0, 1.0]), "var": jnp.array([2.0, 4.0])}}
    >>> {name: float(x) for name, x in mean_statistics(state, jnp.ones(2))["norm"].items()}
    {'mean': 0.0, 'var': 3.0}
    """
    return mean_over_clients(model_state, weights)


def pooled_statistics(model_state: ModelState, weights: Float[Array, " clients"]) -> ModelState:
    """Statistics of the union of the clients' data, layer by layer.

    A layer's statistics are leaves named `mean` and `var` with one parent.

    >>> state = {"norm": {"mean": jnp.array([-1.0, 1.0]), "var": jnp.array([2.0, 4.0])}}
    >>> {name: float(x) for name, x in pooled_statistics(state, jnp.ones(2))["norm"].items()}
    {'mean': 0.0, 'var': 4.0}
    """

    def pool(tree):
        if not isinstance(tree, Mapping):
            return mean_over_clients(tree, weights)
        if set(tree) == {"mean", "var"} and tree["mean"] is not None and tree["var"] is not None:
            moments = {"mean": tree["mean"], "square": tree["var"] + tree["mean"] ** 2}
            pooled = mean_over_clients(moments, weights)
            return {
                "mean": pooled["mean"],
                "var": jnp.maximum(pooled["square"] - pooled["mean"] ** 2, 0.0),
            }
        return {name: pool(child) for name, child in tree.items()}

    return pool(model_state)


def median_statistics(model_state: ModelState, weights: Float[Array, " clients"]) -> ModelState:
    """The median of every statistic over those present, each client one vote.

    >>> state = {"norm": {"mean": jnp.array([0.0, 1.0, 9e9]), "var": jnp.array([2.0, 4.0, 1e30])}}
    >>> {name: float(x) for name, x in median_statistics(state, jnp.ones(3))["norm"].items()}
    {'mean': 1.0, 'var': 4.0}
    """

    def median(x: Array) -> Array:
        rows = x.reshape(x.shape[0], -1)
        centre = blockwise(
            lambda block: middle(sorted_rows(block, weights > 0), (weights > 0).sum()), rows
        )
        return centre.reshape(x.shape[1:]).astype(x.dtype)

    return jax.tree.map(median, model_state)


def as_sent(uploads: PyTree, weights: Float[Array, " clients"]) -> PyTree:
    """The uploads as they came.

    >>> as_sent(jnp.array([1.0, 900.0]), jnp.ones(2)).tolist()
    [1.0, 900.0]
    """
    del weights  # the algorithm weighs them
    return uploads


def median_of_all(uploads: PyTree, weights: Float[Array, " clients"]) -> PyTree:
    """The median of those present in everybody's place, so that every weighted mean is the median.

    >>> median_of_all(jnp.array([1.0, 2.0, 9e9]), jnp.ones(3)).tolist()
    [2.0, 2.0, 2.0]
    """
    centre = median_statistics(uploads, weights)
    return jax.tree.map(lambda x, m: jnp.broadcast_to(m, x.shape), uploads, centre)


BESIDE = {
    "mean": Beside(mean_statistics, as_sent),
    "pooled": Beside(pooled_statistics, as_sent),
    "median": Beside(median_statistics, median_of_all),
}
