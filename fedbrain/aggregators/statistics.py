"""Rules for batch statistics, values that no optimiser, clip or noise link ever touches.

    mean:    mu = sum p_i mu_i,   var = sum p_i var_i
    pooled:  mu = sum p_i mu_i,   var = sum p_i (var_i + mu_i^2) - mu^2     (law of total variance)

The third choice of a configuration, `local`, is no rule: the statistics are then private leaves
that stay in the hospital (`algorithms.sharing`), as in SiloBN.

References:
  Andreux et al. (2020), SiloBN, https://arxiv.org/abs/2008.07424
"""

from collections.abc import Mapping

import jax.numpy as jnp
from jaxtyping import Array, Float

from fedbrain.aggregators.mean import mean_over_clients
from fedbrain.types import ModelState


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
