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

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from fedbrain.aggregators.cohort import normalised
from fedbrain.algorithms.running import Running, nothing_yet, observe, running_mean, weighted_sum
from fedbrain.algorithms.variant import Finish, Sent, Start, Step, Variant, shared_only
from fedbrain.types import Params, Update

InRound = Callable[[Array], Array]  # rounds completed -> whether something happens in this one
Corrected = Callable[[Array, Array, Array], Array]  # (g_i(y), g_i(w), grad F(w)) -> g


class MimeServer(NamedTuple):
    """The server's memory."""

    momentum: Params  # m
    gradient: Params  # grad F(w), measured in the round before
    round: Int[Array, ""]  # rounds completed


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

    >>> from fedbrain.algorithms.quadratic import local_rounds
    >>> local_rounds(mimelite())
    ([0.39, 0.39], [0.0, 0.0])
    """
    always = lambda round: jnp.asarray(True)  # noqa: E731
    return _mime(beta, lambda g, here, mean: g, measures=always, trains=always)


def mime(beta: float = 0.9) -> Variant:
    """MimeLite with variance-reduced local gradients. Even rounds measure grad F(w), odd rounds
    train.

    Args:
      beta: of the momentum, .9 as published.

    >>> from fedbrain.algorithms.quadratic import local_rounds
    >>> local_rounds(mime())
    ([0.0, 0.0], [0.0, 0.0])
    """
    return _mime(
        beta,
        lambda g, here, mean: g - here + mean,
        measures=lambda round: round % 2 == 0,
        trains=lambda round: round % 2 == 1,
    )


def _mime(
    beta: float, reduce_variance: Corrected, *, measures: InRound, trains: InRound
) -> Variant:
    if not 0 <= beta < 1:
        raise ValueError(f"Expected 0 <= beta={beta} < 1.")
    return Variant(
        server_init=_server_init,
        begin=_begin,
        gradient=partial(_gradient, beta, reduce_variance, trains),
        finish=_finish,
        server=partial(_server, beta, measures, trains),
    )


def _server_init(shared: Params, examples: Array) -> MimeServer:
    del examples
    zeros = jax.tree.map(jnp.zeros_like, shared)
    return MimeServer(zeros, zeros, jnp.zeros((), jnp.int32))


def _begin(start: Start) -> MimeContext:
    return MimeContext(start.extra, start.params, nothing_yet(start.extra.momentum))


def _gradient(beta: float, reduce_variance: Corrected, trains: InRound, step: Step):
    server, anchor, seen = step.context
    grads, aux = step.gradient_at(step.params, step.model_state)
    at_anchor, _ = step.gradient_at(anchor, step.model_state)

    def corrected(g: Array, here: Array, m: Array | None, mean: Any) -> Array:
        if m is None:  # a private leaf
            return g
        return trains(server.round) * ((1 - beta) * reduce_variance(g, here, mean) + beta * m)

    direction = jax.tree.map(corrected, grads, at_anchor, server.momentum, server.gradient)
    seen = observe(seen, shared_only(at_anchor, server.momentum))
    return direction, aux, step.context._replace(gradient=seen)


def _finish(end: Finish) -> Sent:
    return Sent(running_mean(end.context.gradient))


def _server(
    beta: float,
    measures: InRound,
    trains: InRound,
    memory: MimeServer,
    updates: Update,
    direction: Params,
) -> tuple[Params, MimeServer]:
    mean = weighted_sum(updates.extra, normalised(updates.weight))
    now = measures(memory.round)
    mean = jax.tree.map(lambda new, old: jnp.where(now, new, old), mean, memory.gradient)
    after = jax.tree.map(lambda g, m: (1 - beta) * g + beta * m, mean, memory.momentum)
    momentum = jax.tree.map(
        lambda new, old: jnp.where(trains(memory.round), new, old), after, memory.momentum
    )
    return direction, MimeServer(momentum, mean, memory.round + 1)
