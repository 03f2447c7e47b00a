"""FedCE: hospitals weigh by what the federation would lose without them.

    d_i = sum_{j != i} c_j x_j,         the others' direction, with last round's shares c
    g_i = mean over rounds of 1 - cos(x_i, d_i)
    e_i = mean over rounds of F_i(w without i)
    c_i ~ max(g_i / sum g, floor) max(e_i / sum e, floor)

References:
  Jiang et al. (2023), https://arxiv.org/abs/2303.16520 (its sums, and the floor, from the authors'
  program)
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from fedbrain.aggregators.checks import expect_clients
from fedbrain.aggregators.cohort import Cohort, normalised, reducing
from fedbrain.aggregators.linear_algebra import combine, gram
from fedbrain.types import Aggregator

AGREED = 1e-6  # 1 - cos of directions that are the same, up to rounding


class ContributionState(NamedTuple):
    """Memory of `fedce`."""

    shares: Float[Array, " clients"]  # c of each client's last round
    apart: Float[Array, " clients"]  # sum of 1 - cos over its rounds
    losses: Float[Array, " clients"]  # sum of F_i(w without i) over its rounds
    rounds: Float[Array, " clients"]  # in which it took part


def fedce(clients: int, floor: float = 1e-3) -> Aggregator:
    """sum_i c_i x_i, where c_i grows with how far client i's direction is from the others', and
    with the error on its data of a model without it.

    Needs clients that report `left_out_loss` (`algorithm = "report_left_out_loss()"`). Absent
    clients keep their share; those present divide the whole. The authors also try the sum of the
    two parts in place of their product.

    >>> x = jnp.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    >>> reports = {"weights": jnp.ones(3), "metrics": {"left_out_loss": jnp.array([1.0, 1.0, 2.0])}}
    >>> rule = fedce(clients=3)
    >>> [round(float(c), 3) for c in rule.update(x, rule.init(x[0]), **reports)[0]]
    [0.227, 0.773]

    Args:
      clients: of the federation; the memory has four numbers for each.
      floor: of both parts, in [0, 1); 1e-3 is the authors'.
    """
    if clients < 1 or not 0 <= floor < 1:
        raise ValueError(f"Expected clients >= 1 and 0 <= floor < 1, got {(clients, floor)}.")

    def init(params) -> ContributionState:
        del params  # four numbers for each client, none for each coordinate
        zeros = jnp.zeros(clients, jnp.float32)
        return ContributionState(jnp.full(clients, 1 / clients, jnp.float32), zeros, zeros, zeros)

    def reduce(cohort: Cohort, state: ContributionState):
        expect_clients(cohort, clients)
        here, places = cohort.present, cohort.places
        written = jnp.where(cohort.last_of_each, places, clients)

        def add(total: Array, new: Array) -> Array:
            return total.astype(new.dtype).at[written].add(new, mode="drop")

        losses = add(state.losses, jnp.maximum(cohort.metric("left_out_loss"), 0))
        c = normalised(jnp.where(here, state.shares[places], 0).astype(losses.dtype))
        apart = add(state.apart, apart_from_others(gram(cohort.updates, here), c))
        rounds = add(state.rounds, here.astype(losses.dtype))
        parts = []
        for total in (apart, losses):
            mean = jnp.where(here, total[places] / jnp.maximum(rounds[places], 1), 0)
            parts.append(jnp.maximum(normalised(mean), floor))
        alpha = normalised(jnp.where(here, parts[0] * parts[1], 0))
        shares = state.shares.at[written].set(alpha.astype(jnp.float32), mode="drop")
        after = [x.astype(jnp.float32) for x in (shares, apart, losses, rounds)]
        return combine(cohort.updates, alpha), ContributionState(*after)

    return reducing(reduce, init)


def apart_from_others(
    g: Float[Array, "clients clients"], c: Float[Array, " clients"]
) -> Float[Array, " clients"]:
    """1 - cos(x_i, sum_{j != i} c_j x_j), at least `AGREED`; 1 where one of them is 0.

    >>> x = jnp.array([[1.0, 0.0], [0.0, 1.0], [0.0, 2.0]])
    >>> [round(float(a), 3) for a in apart_from_others(x @ x.T, jnp.full(3, 1 / 3))]
    [1.0, 0.106, 0.293]

    Args:
      g: Gram matrix of the updates x.
      c: shares, 0 where absent.
    """
    along, own = g @ c, jnp.diag(g)
    others = jnp.maximum(c @ along - 2 * c * along + c**2 * own, 0)  # ||d_i||^2
    lengths = jnp.sqrt(own * others)
    cosine = jnp.where(lengths > 0, (along - c * own) / jnp.where(lengths > 0, lengths, 1), 0)
    return jnp.maximum(1 - cosine, AGREED)
