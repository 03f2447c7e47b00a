"""Personalised models: every hospital keeps one of its own, and the federation still has one.

    ditto   v_i <- v_i - h (grad F_i(v_i) + lambda (v_i - w))
    apfl    y on F_i(y), v_i on F_i(z), z = a v_i + (1 - a) y,
            a <- a - h <grad F_i(z), v_i - y>;  the model is z
    pfedme  theta ~ argmin F_i(theta) + lambda / 2 ||theta - y||^2 in a few steps,
            y <- y - h lambda (y - theta)

The second model trains with the same client chain, whose state starts anew every round, and has its
own batch statistics.

References:
  Li et al. (2021), Ditto, https://arxiv.org/abs/2012.04221
  Deng et al. (2020), APFL, https://arxiv.org/abs/2003.13461
  Dinh et al. (2020), pFedMe, https://arxiv.org/abs/2006.08848
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from fedbrain.algorithms.variant import Finish, Sent, Start, Step, Variant
from fedbrain.types import ModelState, Params, Variables


class Own(NamedTuple):
    """A client's own model."""

    params: Params
    model_state: ModelState


class OwnContext(NamedTuple):
    """Carried through the local steps."""

    own: Own
    opt_state: optax.OptState
    anchor: Params  # w
    mixture: Float[Array, ""]  # APFL's a


def own_model(variables: Variables) -> Own:
    """A client's memory before the first round: the initial model.

    >>> own_model({"params": {"w": 1.0}, "batch_stats": {}})
    Own(params={'w': 1.0}, model_state={'batch_stats': {}})
    """
    return Own(variables["params"], {k: v for k, v in variables.items() if k != "params"})


def use_own(control: Own, variables: Variables) -> Variables:
    """The client uses its own model.

    >>> use_own(Own({"w": 1.0}, {}), {"params": {"w": 5.0}})
    {'params': {'w': 1.0}}
    """
    del variables
    return {"params": control.params, **control.model_state}


def _advance(step: Step, own: Own, grads: Params, model_state: ModelState) -> OwnContext:
    """One step of the client chain on the second model."""
    updates, opt_state = step.chain.update(grads, step.context.opt_state, own.params)
    updates = jax.tree.map(lambda u: u * step.learning_rate_scale, updates)
    params = optax.apply_updates(own.params, updates)
    return step.context._replace(own=Own(params, model_state), opt_state=opt_state)  # pyright: ignore[reportArgumentType]


def _begin(start: Start) -> OwnContext:
    return OwnContext(
        start.control, start.chain.init(start.control.params), start.params, jnp.zeros(())
    )


def _keep_own(end: Finish) -> Sent:
    return Sent((), end.context.own)


def ditto(penalty: float) -> Variant:
    """A personal model beside the global one, held to it by a penalty.

    Args:
      penalty: lambda >= 0; 0 is training alone, large values are the global model. The authors try
        .01 to 1.

    >>> from fedbrain.algorithms.quadratic import local_rounds
    >>> local_rounds(ditto(penalty=1.0))
    ([3.0, 3.0], [2.0, 2.0])
    """
    if not penalty >= 0:
        raise ValueError(f"Expected penalty={penalty} >= 0.")

    def gradient(step: Step):
        own = step.context.own
        grads, (model_state, _) = step.gradient_at(own.params, own.model_state)
        grads = jax.tree.map(
            lambda g, v, w: g + penalty * (v - w), grads, own.params, step.context.anchor
        )
        context = _advance(step, own, grads, model_state)
        return *step.gradient_at(step.params, step.model_state), context

    return Variant(
        client_init=own_model, begin=_begin, gradient=gradient, finish=_keep_own, personal=use_own
    )


def pfedme(
    penalty: float = 15.0, inner_steps: int = 5, inner_learning_rate: float = 0.05
) -> Variant:
    """The global model follows Moreau envelopes; the personal model is the inner minimiser of the
    last batch.

    Args:
      penalty: lambda, 15 to 30 in the paper.
      inner_steps: K, of gradient descent on one batch; 5 in the paper.
      inner_learning_rate: of those steps.

    >>> from fedbrain.algorithms.quadratic import local_rounds
    >>> local_rounds(pfedme())
    ([2.867, 2.867], [2.007, 2.007])
    """
    if not penalty > 0 or inner_steps < 1 or not inner_learning_rate > 0:
        raise ValueError(
            f"Expected positive numbers, got {(penalty, inner_steps, inner_learning_rate)}."
        )

    def begin(start: Start) -> Own:
        return Own(start.params, start.model_state)  # theta starts from w each round

    def descend(theta: Array, g: Array, y: Array) -> Array:
        return theta - inner_learning_rate * (g + penalty * (theta - y))

    def gradient(step: Step):
        theta = step.context.params
        aux = (step.context.model_state, {})
        for _ in range(inner_steps):
            grads, aux = step.gradient_at(theta, step.context.model_state)
            theta = jax.tree.map(descend, theta, grads, step.params)
        pulled = jax.tree.map(lambda y, t: penalty * (y - t), step.params, theta)
        return pulled, aux, Own(theta, aux[0])

    finish = lambda end: Sent((), end.context)  # noqa: E731
    return Variant(
        client_init=own_model, begin=begin, gradient=gradient, finish=finish, personal=use_own
    )


class Mixed(NamedTuple):
    """APFL's client memory."""

    own: Own  # v_i
    mixture: Float[Array, ""]  # a


def apfl(mixture: float = 0.5, learning_rate: float = 0.1) -> Variant:
    """A personal mixture of an own and the global model, whose share is learnt.

    Args:
      mixture: a before the first round, .5 as published.
      learning_rate: of a; 0 keeps it.

    >>> from fedbrain.algorithms.quadratic import local_rounds
    >>> local_rounds(apfl())
    ([3.0, 3.0], [0.406, 2.445])
    """
    if not 0 <= mixture <= 1 or not learning_rate >= 0:
        raise ValueError(
            f"Expected 0 <= mixture <= 1 and learning_rate >= 0, got {(mixture, learning_rate)}."
        )

    def client_init(variables: Variables) -> Mixed:
        return Mixed(own_model(variables), jnp.asarray(mixture, jnp.float32))

    return Variant(
        client_init=client_init,
        begin=_apfl_begin,
        gradient=partial(_apfl_gradient, learning_rate),
        finish=lambda end: Sent((), Mixed(end.context.own, end.context.mixture)),
        personal=_use_mixture,
    )


def _mix(a: Array | np.ndarray, v: Params, y: Params) -> Params:
    return jax.tree.map(lambda v, y: a * v + (1 - a) * y, v, y)


def _apfl_begin(start: Start) -> OwnContext:
    own = start.control.own
    return OwnContext(own, start.chain.init(own.params), start.params, start.control.mixture)


def _apfl_gradient(learning_rate: float, step: Step):
    own, a = step.context.own, step.context.mixture
    mixed = _mix(a, own.params, step.params)
    grads, (model_state, _) = step.gradient_at(mixed, own.model_state)
    slope = sum(
        jnp.vdot(g, v - y)
        for g, v, y in zip(*map(jax.tree.leaves, (grads, own.params, step.params)))
    )
    context = _advance(step, own, jax.tree.map(lambda g: a * g, grads), model_state)
    a = jnp.clip(a - learning_rate * slope, 0.0, 1.0).astype(jnp.float32)
    return *step.gradient_at(step.params, step.model_state), context._replace(mixture=a)


def _use_mixture(control: Mixed, variables: Variables) -> Variables:
    params = _mix(control.mixture, control.own.params, variables["params"])
    return {"params": params, **control.own.model_state}
