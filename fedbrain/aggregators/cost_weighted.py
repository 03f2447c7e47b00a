"""Weights from reported losses: FLightcase's, and those of a segmentation challenge's winner.

    c_i = sum of losses / number of examples, over client i's local steps of the round

References:
  Maechler et al. (2021), FedCostWAvg, https://arxiv.org/abs/2111.08649
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from fedbrain.aggregators.checks import expect_clients
from fedbrain.aggregators.cohort import Cohort, linear, normalised, reducing
from fedbrain.aggregators.linear_algebra import combine
from fedbrain.types import Aggregator


def cost(cohort: Cohort) -> Float[Array, " clients"]:
    """c_i, the mean training loss of each client; 1 where absent.

    >>> sums = {"loss": jnp.array([6.0, 8.0]), "count": jnp.array([3.0, 2.0])}
    >>> cost(Cohort(jnp.zeros((2, 1)), jnp.ones(2), sums)).tolist()
    [2.0, 4.0]
    """
    return jnp.maximum(cohort.metric("loss") / jnp.maximum(cohort.metric("count"), 1), 1e-10)


def inverse_loss() -> Aggregator:
    """a_i = (1 / c_i) / sum (1 / c): FLightcase's weights, here on training losses.

    >>> x = jnp.array([[0.0], [1.0]])
    >>> sums = {"loss": jnp.array([6.0, 2.0]), "count": jnp.array([2.0, 2.0])}
    >>> rule = inverse_loss()
    >>> rule.update(x, rule.init(x[0]), weights=jnp.ones(2), metrics=sums)[0].tolist()
    [0.75]
    """
    return linear(lambda cohort: normalised(jnp.where(cohort.present, 1 / cost(cohort), 0)))


class CostState(NamedTuple):
    """Memory of `fedcostwavg`."""

    costs: Float[Array, " clients"]  # c_i of each client's last round; 0 before its first


def fedcostwavg(clients: int, alpha: float = 0.5) -> Aggregator:
    """a_i = alpha n_i / sum n + (1 - alpha) k_i / sum k, with k_i = previous cost / new cost.

    In a client's first round k_i = 1.

    >>> x = jnp.array([[0.0], [1.0]])
    >>> rule = fedcostwavg(clients=2, alpha=0.5)
    >>> state = rule.init(x[0])
    >>> for losses in ([4.0, 4.0], [4.0, 1.0]):  # the second client's cost falls to a quarter
    ...     sums = {"loss": jnp.array(losses), "count": jnp.ones(2)}
    ...     direction, state = rule.update(x, state, weights=jnp.ones(2), metrics=sums)
    >>> round(float(direction[0]), 3)
    0.65

    Args:
      clients: of the federation.
      alpha: 0.5 as published.
    """
    if clients < 1 or not 0 <= alpha <= 1:
        raise ValueError(f"Expected clients >= 1 and 0 <= alpha <= 1, got {(clients, alpha)}.")

    def init(params) -> CostState:
        del params  # a number for each client, none for each coordinate
        return CostState(jnp.zeros(clients, jnp.float32))

    def reduce(cohort: Cohort, state: CostState):
        expect_clients(cohort, clients)
        new = cost(cohort)
        last = state.costs[cohort.places]
        previous = jnp.where(last > 0, last, new)
        k = normalised(jnp.where(cohort.present, previous / new, 0))
        shares = alpha * cohort.by_examples + (1 - alpha) * k
        # beyond the end: an absent client's memory stays, and of two updates the later is kept
        written = jnp.where(cohort.last_of_each, cohort.places, clients)
        costs = state.costs.at[written].set(new.astype(jnp.float32), mode="drop")
        coefficients = normalised(jnp.where(cohort.present, shares, 0))
        return combine(cohort.updates, coefficients), CostState(costs)

    return reducing(reduce, init)
