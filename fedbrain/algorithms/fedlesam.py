"""FedLESAM: clients look for minima that are flat for the federation, not for themselves.

    local   e = rho (w_i - w) / ||w_i - w||,    y <- y - h g_i(y + e)
    client  w_i <- w

w_i is the global model that the client received the last time it took part: w_i - w estimates the
gradient of the federation's loss, which FedSAM takes from the client's own. In a client's first
round w_i is the initial model, and where both agree e is 0. One gradient a step, as FedAvg. Private
leaves are not climbed along. Batch statistics and reports are of y + e.

References:
  Fan et al. (2024), https://arxiv.org/abs/2405.18890
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from fedbrain.algorithms.fedsam import require_radius, uphill
from fedbrain.algorithms.leaves import combine
from fedbrain.algorithms.variant import Finish, Sent, Start, Step, Variant, shared_only
from fedbrain.types import Params, Variables


class LesamContext(NamedTuple):
    """Carried through the local steps, unchanged."""

    received: Params  # w, with the client's private leaves
    direction: Params  # w_i - w, 0 where private


def fedlesam(rho: float = 0.05) -> Variant:
    """Local steps follow the gradient at the worst point within rho, along the way that the global
    model came since the client last saw it.

    Args:
      rho: > 0, in units of the weights; arbitrary, the first of SAM's.

    >>> from fedbrain.algorithms.quadratic import local_rounds
    >>> local_rounds(fedlesam(rho=0.5))  # the global model stands still: there is no way back
    ([3.0, 3.0], [0.0, 0.0])
    """
    require_radius(rho)

    def gradient(step: Step):
        worst = uphill(step.params, step.context.direction, rho)
        return *step.gradient_at(worst, step.model_state), step.context

    return Variant(client_init=_client_init, begin=_begin, gradient=gradient, finish=_finish)


def _client_init(variables: Variables) -> Params:
    return variables["params"]


def _begin(start: Start) -> LesamContext:
    # private leaves are those of the client's last round in both
    return LesamContext(start.params, jax.tree.map(jnp.subtract, start.control, start.params))


def _finish(end: Finish) -> Sent:
    received = shared_only(end.context.received, end.delta)
    return Sent(control=combine(received, end.params))
