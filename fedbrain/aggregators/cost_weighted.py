"""Weights from reported losses: the winners of the federated tumour segmentation challenges, and
FLightcase's rule.

c_i is client i's mean training loss of the round.

References:
  Maechler et al. (2021), FedCostWAvg, https://arxiv.org/abs/2111.08649
  Maechler et al. (2022), FedPIDAvg, https://arxiv.org/abs/2304.12117
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from fedbrain.aggregators.cohort import Cohort, linear, normalised, reducing
from fedbrain.aggregators.fair import expect_clients
from fedbrain.aggregators.linear_algebra import combine
from fedbrain.types import Aggregator

HISTORY = 6  # this round and the five before it: the integral term of FedPIDAvg


def cost(cohort: Cohort) -> Array:
    """Mean loss per example [clients]; 1 where absent."""
    return jnp.maximum(cohort.metric("loss") / jnp.maximum(cohort.metric("count"), 1), 1e-10)


def inverse_loss() -> Aggregator:
    """a_i = (1 / c_i) / sum (1 / c): FLightcase's weights, here on training losses."""
    return linear(lambda cohort: normalised(jnp.where(cohort.present, 1 / cost(cohort), 0)))


class CostState(NamedTuple):
    """Memory of the cost-weighted rules."""

    costs: Float[Array, "clients rounds"]  # newest first
    seen: Int[Array, " clients"]  # rounds in it


def _remembering(clients: int, coefficients) -> Aggregator:
    def init(params) -> CostState:
        del params
        return CostState(jnp.ones((clients, HISTORY), jnp.float32), jnp.zeros(clients, jnp.int32))

    def reduce(cohort: Cohort, state: CostState):
        expect_clients(cohort, clients)
        new = jnp.concatenate([cost(cohort)[:, None], state.costs[:, :-1]], axis=1)
        costs = jnp.where(cohort.present[:, None], new, state.costs)
        seen = jnp.minimum(state.seen + cohort.present, HISTORY)
        previous = jnp.where(
            seen > 1, costs[:, 1], costs[:, 0]
        )  # the first round has no change yet
        valid = jnp.arange(HISTORY)[None] < seen[:, None]
        alpha = coefficients(cohort, costs[:, 0], previous, jnp.where(valid, costs, 0).sum(1))
        state = CostState(costs.astype(jnp.float32), seen.astype(jnp.int32))
        return combine(cohort.updates, normalised(jnp.where(cohort.present, alpha, 0))), state

    return reducing(reduce, init)


def _share(cohort: Cohort, x: Array) -> Array:
    return normalised(jnp.where(cohort.present, x, 0))


def fedcostwavg(clients: int, alpha: float = 0.5) -> Aggregator:
    """a_i = alpha n_i / sum n + (1 - alpha) k_i / sum k, with k_i = previous cost / new cost.

    Args:
      clients: of the federation.
      alpha: 0.5 as published.
    """
    if clients < 1 or not 0 <= alpha <= 1:
        raise ValueError(f"Expected clients >= 1 and 0 <= alpha <= 1, got {(clients, alpha)}.")

    def coefficients(cohort: Cohort, new: Array, previous: Array, integral: Array) -> Array:
        del integral
        return alpha * cohort.by_examples + (1 - alpha) * _share(cohort, previous / new)

    return _remembering(clients, coefficients)


def fedpidavg(
    clients: int, alpha: float = 0.45, beta: float = 0.45, gamma: float = 0.1
) -> Aggregator:
    """a_i = alpha n_i / sum n + beta k_i / sum k + gamma m_i / sum m, k_i the fall of the cost, m_i
    its sum over six rounds.

    A client whose cost rose has k_i = 0; when nobody's fell the weights of the other two terms are
    scaled up.

    Args:
      clients: of the federation.
      alpha: weight of sizes, .45 as published.
      beta: weight of the fall, .45 as published.
      gamma: weight of the sum, .1 as published.
    """
    if clients < 1 or min(alpha, beta, gamma) < 0:
        raise ValueError(
            f"Expected clients >= 1 and weights >= 0, got {(clients, alpha, beta, gamma)}."
        )

    def coefficients(cohort: Cohort, new: Array, previous: Array, integral: Array) -> Array:
        fall = _share(cohort, jnp.maximum(previous - new, 0))
        return alpha * cohort.by_examples + beta * fall + gamma * _share(cohort, integral)

    return _remembering(clients, coefficients)
