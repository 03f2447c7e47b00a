"""FedDC: every client keeps its drift apart from its model, and the server adds the drifts of all.

    local   g <- g_i(y) + alpha (y + h_i - w) + c - c_i
    client  h_i <- h_i + (y_i - w),    c_i <- mean of the g above,    sends y_i - w and c_i
    server  h <- h + s D,    w <- w + D + h,    c <- sum_i p_i c_i,    s = sum_{i present} n_i / n

h is the mean of the h_i of all clients, absent ones too, made of what the rule returned for D. At
rest y_i = w, so that g_i(w) = -alpha h_i and h = 0: w is the optimum of sum_i n_i F_i. For SGD
-tau e c_i is the published last update of client i, tau steps of length e; as a mean it needs no
learning rate.

References:
  Gao et al. (2022), https://arxiv.org/abs/2203.11751 (from memory)
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fedbrain.aggregators.cohort import normalised
from fedbrain.algorithms.running import (
    Running,
    nothing_yet,
    observe,
    running_mean,
    share_of_all,
    weighted_sum,
)
from fedbrain.algorithms.variant import Finish, Sent, Start, Step, Variant, add_shared, shared_only
from fedbrain.types import Params, Update


class FedDCServer(NamedTuple):
    """The server's memory."""

    drift: Params  # h
    gradient: Params  # c
    examples: Float[Array, ""]  # of all registered clients


class FedDCClient(NamedTuple):
    """A client's memory."""

    drift: Params  # h_i
    gradient: Params  # c_i


class FedDCContext(NamedTuple):
    """Carried through the local steps, of the shared leaves."""

    centre: Params  # w - h_i
    correction: Params  # c - c_i
    gradients: Running  # what was followed, whose mean becomes c_i


def feddc(alpha: float = 0.1) -> Variant:
    """Local models are held to the global one minus their drift, which the server adds again.

    Args:
      alpha: strength of the pull > 0; the authors use .005 to .1.

    >>> from fedbrain.algorithms.quadratic import local_rounds
    >>> local_rounds(feddc(alpha=0.1))
    ([2.9, 0.587], [0.0, 0.0])
    """
    if not alpha > 0:
        raise ValueError(f"Expected alpha={alpha} > 0.")

    def gradient(step: Step):
        grads, aux = step.gradient_at(step.params, step.model_state)
        centre, correction, seen = step.context
        here = shared_only(step.params, centre)
        pull = jax.tree.map(lambda y, w, c: alpha * (y - w) + c, here, centre, correction)
        followed = add_shared(grads, pull)
        seen = observe(seen, shared_only(followed, centre))
        return followed, aux, step.context._replace(gradients=seen)

    return Variant(_server_init, _client_init, _begin, gradient, _finish, _server)


def _server_init(shared: Params, examples: Array) -> FedDCServer:
    zeros = jax.tree.map(jnp.zeros_like, shared)
    return FedDCServer(zeros, zeros, examples.sum())


def _client_init(variables) -> FedDCClient:
    zeros = jax.tree.map(jnp.zeros_like, variables["params"])
    return FedDCClient(zeros, zeros)


def _begin(start: Start) -> FedDCContext:
    mean = start.extra.gradient
    drift, own = (shared_only(x, mean) for x in start.control)
    centre = jax.tree.map(jnp.subtract, shared_only(start.params, mean), drift)
    correction = jax.tree.map(jnp.subtract, mean, own)
    return FedDCContext(centre, correction, nothing_yet(correction))


def _finish(end: Finish) -> Sent:
    mean = running_mean(end.context.gradients)
    control = FedDCClient(
        add_shared(end.control.drift, end.delta),
        add_shared(jax.tree.map(jnp.zeros_like, end.control.gradient), mean),
    )
    return Sent(mean, control)


def _server(memory: FedDCServer, update: Update, direction: Params):
    share = share_of_all(update.weight, memory.examples).sum()
    drift = jax.tree.map(lambda h, d: h - share * d, memory.drift, direction)
    gradient = weighted_sum(update.extra, normalised(update.weight))
    after = memory._replace(drift=drift, gradient=gradient)
    return jax.tree.map(jnp.subtract, direction, drift), after
