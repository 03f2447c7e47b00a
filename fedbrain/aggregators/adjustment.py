"""Generalization adjustment: hospitals on which the global model is worse than their own weigh
more, from round to round.

    a_i <- max(0, a_i + d (1 - r / R) / n  gap_i / max_j |gap_j|),    a <- a / sum a

gap_i = F_i(w) - F_i(y_i) is of the client's last round. r of R rounds are done; a is uniform at
first.

References:
  Zhang et al. (2023), https://openreview.net/forum?id=9Bnhplqp-E
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from fedbrain.aggregators.checks import expect_clients
from fedbrain.aggregators.cohort import Cohort, normalised, reducing
from fedbrain.aggregators.linear_algebra import combine
from fedbrain.types import Aggregator


class AdjustmentState(NamedTuple):
    """Memory of `generalization_adjustment`."""

    shares: Float[Array, " clients"]  # a, on the simplex
    round: Int[Array, ""]  # r


def generalization_adjustment(clients: int, rounds: int, step: float = 0.2) -> Aggregator:
    """sum_i a_i x_i, where a_i moves with the gap between the global model and the client's own.

    Needs clients that report `gap` (`algorithm = "report_gap()"`). Absent clients keep their share;
    those present divide the whole in proportion.

    >>> x = jnp.array([[1.0, 0.0], [0.0, 1.0]])
    >>> reports = {"weights": jnp.ones(2), "metrics": {"gap": jnp.array([0.0, 3.0])}}
    >>> rule = generalization_adjustment(clients=2, rounds=10, step=0.5)
    >>> [round(float(a), 2) for a in rule.update(x, rule.init(x[0]), **reports)[0]]
    [0.4, 0.6]

    Args:
      clients: of the federation; the memory has one number for each.
      rounds: R, of the run.
      step: d, of the first round; the authors' programs use .05 to .2.
    """
    if clients < 1 or rounds < 1 or not step > 0:
        raise ValueError(
            f"Expected clients and rounds >= 1 and step > 0, got {(clients, rounds, step)}."
        )

    def init(params) -> AdjustmentState:
        del params  # a number for each client, none for each coordinate
        uniform = jnp.full(clients, 1 / clients, jnp.float32)
        return AdjustmentState(uniform, jnp.zeros((), jnp.int32))

    def reduce(cohort: Cohort, state: AdjustmentState):
        expect_clients(cohort, clients)
        gap = jnp.where(cohort.present, cohort.metric("gap"), 0)
        left = jnp.maximum(1 - state.round / rounds, 0)
        move = step * left / clients * gap / jnp.maximum(jnp.abs(gap).max(), 1e-300)
        written = jnp.where(cohort.last_of_each, cohort.places, clients)
        moved = state.shares.astype(move.dtype).at[written].add(move, mode="drop")
        shares = normalised(jnp.maximum(moved, 0))
        alpha = normalised(jnp.where(cohort.present, shares[cohort.places], 0))
        after = AdjustmentState(shares.astype(jnp.float32), state.round + 1)
        return combine(cohort.updates, alpha), after

    return reducing(reduce, init)
