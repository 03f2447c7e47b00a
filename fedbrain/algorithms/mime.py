"""Mime and MimeLite: clients take the steps of a centralised optimiser whose momentum is the
server's and stands still.

    local   y <- y - h ((1 - beta) g + beta m),   g = g_i(y)                      MimeLite
                                                  g = g_i(y) - g_i(w) + grad F(w)  Mime
    server  m <- (1 - beta) grad F(w) + beta m,   grad F(w) = sum_i p_i grad F_i(w)

Mime needs grad F(w) before anybody trains: two trips. Here they are two rounds, one that only
measures and one that only trains, so that the price is visible. The client chain is plain `sgd`.

References:
  Karimireddy et al. (2021), https://arxiv.org/abs/2008.03606
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from fedbrain.aggregators.cohort import normalised
from fedbrain.algorithms.running import Running, nothing_yet, observe, running_mean, weighted_sum
from fedbrain.algorithms.variant import Finish, Sent, Start, Step, Variant, shared_only
from fedbrain.types import Params, Update


class MimeServer(NamedTuple):
    """The server's memory."""

    momentum: Params  # m
    gradient: Params  # grad F(w), measured in the round before
    round: Int[Array, ""]


class MimeContext(NamedTuple):
    """Carried through the local steps."""

    server: MimeServer
    anchor: Params  # w
    gradient: Running  # grad F_i(w)


def mimelite(beta: float = 0.9) -> Variant:
    """Frozen server momentum in local steps; the momentum is updated with gradients at the global
    model.

    Args:
      beta: of the momentum, .9 as published.
    """
    return _mime(
        beta,
        lambda g, here, mean: g,
        lambda round: jnp.asarray(True),
        lambda round: jnp.asarray(True),
    )


def mime(beta: float = 0.9) -> Variant:
    """MimeLite with variance-reduced local gradients. Even rounds measure grad F(w), odd rounds
    train.

    Args:
      beta: of the momentum, .9 as published.
    """
    return _mime(
        beta,
        lambda g, here, mean: g - here + mean,
        lambda round: round % 2 == 0,
        lambda round: round % 2 == 1,
    )


def _mime(beta: float, reduce, measures, trains) -> Variant:
    if not 0 <= beta < 1:
        raise ValueError(f"Expected 0 <= beta={beta} < 1.")

    def server_init(shared: Params, examples: Array) -> MimeServer:
        del examples
        zeros = jax.tree.map(jnp.zeros_like, shared)
        return MimeServer(zeros, zeros, jnp.zeros((), jnp.int32))

    def begin(start: Start) -> MimeContext:
        return MimeContext(start.extra, start.params, nothing_yet(start.extra.momentum))

    def gradient(step: Step):
        server, anchor, seen = step.context
        grads, aux = step.gradient_at(step.params, step.model_state)
        at_anchor, _ = step.gradient_at(anchor, step.model_state)

        def corrected(g, here, m, mean):
            return (
                g
                if m is None
                else trains(server.round) * ((1 - beta) * reduce(g, here, mean) + beta * m)
            )

        moved = jax.tree.map(corrected, grads, at_anchor, server.momentum, server.gradient)
        seen = observe(seen, shared_only(at_anchor, server.momentum))
        return moved, aux, step.context._replace(gradient=seen)

    def finish(end: Finish) -> Sent:
        return Sent(running_mean(end.context.gradient))

    def server(memory: MimeServer, update: Update, direction: Params):
        mean = weighted_sum(update.extra, normalised(update.weight))
        now = measures(memory.round)
        mean = jax.tree.map(lambda new, old: jnp.where(now, new, old), mean, memory.gradient)
        after = jax.tree.map(lambda g, m: (1 - beta) * g + beta * m, mean, memory.momentum)
        momentum = jax.tree.map(
            lambda new, old: jnp.where(trains(memory.round), new, old), after, memory.momentum
        )
        return direction, MimeServer(momentum, mean, memory.round + 1)

    return Variant(
        server_init=server_init, begin=begin, gradient=gradient, finish=finish, server=server
    )
