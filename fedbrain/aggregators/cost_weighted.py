"""Weights from reported losses: FLightcase's, and those of a segmentation challenge's winners.

    c_i = sum of losses / number of examples, over client i's local steps of the round

References:
  Maechler et al. (2021), FedCostWAvg, https://arxiv.org/abs/2111.08649
  Maechler et al. (2023), FedPIDAvg, https://arxiv.org/abs/2304.12117
"""

from collections.abc import Callable
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
    """Memory of the rules that compare a client's costs."""

    costs: Float[Array, "clients rounds"]  # of each client's last rounds, newest first; 0: none yet


def _remembering(clients: int, rounds: int, shares: Callable[[Cohort, Array], Array]) -> Aggregator:
    """A mean whose weights are `shares` of a cohort and its costs [clients, 1 + rounds], newest
    first.
    """

    def init(params) -> CostState:
        del params  # some numbers for each client, none for each coordinate
        return CostState(jnp.zeros((clients, rounds), jnp.float32))

    def reduce(cohort: Cohort, state: CostState):
        expect_clients(cohort, clients)
        costs = jnp.concatenate([cost(cohort)[:, None], state.costs[cohort.places]], axis=1)
        coefficients = normalised(jnp.where(cohort.present, shares(cohort, costs), 0))
        # beyond the end: an absent client's memory stays, and of two updates the later is kept
        written = jnp.where(cohort.last_of_each, cohort.places, clients)
        newest = costs[:, :rounds].astype(jnp.float32)
        memory = CostState(state.costs.at[written].set(newest, mode="drop"))
        return combine(cohort.updates, coefficients), memory

    return reducing(reduce, init)


def _of_all(cohort: Cohort, x: Array) -> Float[Array, " clients"]:
    """x / sum x over those present."""
    return normalised(jnp.where(cohort.present, x, 0))


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

    def shares(cohort: Cohort, costs: Array) -> Array:
        new, last = costs[:, 0], costs[:, 1]
        k = jnp.where(last > 0, last, new) / new
        return alpha * cohort.by_examples + (1 - alpha) * _of_all(cohort, k)

    return _remembering(clients, 1, shares)


def fedpidavg(
    clients: int, alpha: float = 0.45, beta: float = 0.45, gamma: float = 0.1
) -> Aggregator:
    """a_i = alpha n_i / sum n + beta k_i / sum k + gamma m_i / sum m: a PID controller.

    k_i = previous cost - new cost, and m_i is the sum of the new cost and the five before it: from
    memory, since the paper could not be had. Arbitrary: k_i = 0 where a cost rose and in a client's
    first round; where nobody's cost fell, the other two terms share the whole. That the authors let
    hospitals of unusual size train less often is not part of the rule.

    >>> x = jnp.array([[0.0], [1.0]])
    >>> rule = fedpidavg(clients=2)
    >>> state = rule.init(x[0])
    >>> for losses in ([4.0, 4.0], [4.0, 1.0]):  # the second client's cost falls
    ...     sums = {"loss": jnp.array(losses), "count": jnp.ones(2)}
    ...     direction, state = rule.update(x, state, weights=jnp.ones(2), metrics=sums)
    >>> round(float(direction[0]), 3)  # 0.45 / 2 + 0.45 + 0.1 * 5 / 13
    0.713

    Args:
      clients: of the federation.
      alpha: weight of sizes, .45 as published.
      beta: weight of the fall, .45 as published.
      gamma: weight of the sum, .1 as published.
    """
    if clients < 1 or not alpha > 0 or min(beta, gamma) < 0:
        raise ValueError(
            "Expected clients >= 1, alpha > 0, beta and gamma >= 0, got"
            f" {(clients, alpha, beta, gamma)}."
        )

    def shares(cohort: Cohort, costs: Array) -> Array:
        new, last = costs[:, 0], costs[:, 1]
        fall = _of_all(cohort, jnp.where(last > 0, jnp.maximum(last - new, 0), 0))
        return alpha * cohort.by_examples + beta * fall + gamma * _of_all(cohort, costs.sum(1))

    return _remembering(clients, 5, shares)
