"""Where federated algorithms differ: seven small functions, whose defaults are FedAvg.

An algorithm of the literature is a `Variant`; `federated.py` composes it with a task, a client
chain and a server chain. A variant sees whole models and never a layer, a file or a network.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import optax
from jaxtyping import Array, Float, Int

from fedbrain.types import Metrics, ModelState, Params, PyTree, Update, Variables

# (params, model_state) -> (gradient of the batch's mean loss, (model_state, metrics))
GradientAt = Callable[[Params, ModelState], tuple[Params, tuple[ModelState, Metrics]]]


class Start(NamedTuple):
    """What a client has before its first local step of a round."""

    round: Int[Array, ""]  # rounds completed
    extra: PyTree  # the server's, broadcast
    control: PyTree  # the client's own, from its last round
    params: Params  # the model it starts from, private leaves included
    model_state: ModelState
    chain: optax.GradientTransformation  # the client chain, for variants that train a second model


class Step(NamedTuple):
    """What a client has at a local step."""

    context: PyTree  # of the variant, carried from step to step
    params: Params
    model_state: ModelState
    gradient_at: GradientAt
    chain: optax.GradientTransformation
    learning_rate_scale: Float[Array, ""]


class Finish(NamedTuple):
    """What a client has after its last local step."""

    extra: PyTree
    control: PyTree  # before the round
    context: PyTree
    params: Params  # the local model
    model_state: ModelState
    delta: Params  # of the shared leaves, None elsewhere


class Sent(NamedTuple):
    """What the variant adds to an update, and what stays with the client."""

    upload: PyTree = ()
    control: PyTree = ()
    metrics: dict[str, Array] = {}  # noqa: RUF012  (never written to)


def plain_gradient(step: Step) -> tuple[Params, tuple[ModelState, Metrics], PyTree]:
    """The gradient of the batch at the local model."""
    grads, aux = step.gradient_at(step.params, step.model_state)
    return grads, aux, step.context


class Variant(NamedTuple):
    """A federated algorithm, as what it does beyond FedAvg."""

    # (shared params, examples [registered clients]) -> the server's memory
    server_init: Callable[[Params, Float[Array, " clients"]], PyTree] = lambda shared, examples: ()
    # (variables) -> the client's memory
    client_init: Callable[[Variables], PyTree] = lambda variables: ()
    begin: Callable[[Start], PyTree] = lambda start: ()
    gradient: Callable[[Step], tuple[Params, tuple[ModelState, Metrics], PyTree]] = plain_gradient
    finish: Callable[[Finish], Sent] = lambda finish: Sent()
    # (memory, cohort's updates, direction of the shared params) -> (direction, memory)
    server: Callable[[PyTree, Update, Params], tuple[Params, PyTree]] = (
        lambda extra, update, direction: (direction, extra)
    )
    # (control, variables with private leaves) -> the variables that this client uses
    personal: Callable[[PyTree, Variables], Variables] = lambda control, variables: variables


def fedavg() -> Variant:
    """Federated averaging: nothing beyond.

    References:
      McMahan et al. (2017), https://arxiv.org/abs/1602.05629
    """
    return Variant()


def add_shared(full: Params, partial: Params) -> Params:
    """x + y where y is shared (a leaf), x where it is private (None)."""
    return jax.tree.map(lambda x, y: x if y is None else x + y, full, partial)


def shared_only(full: Params, partial: Params) -> Params:
    """The leaves of a full tree that a partial one has, None elsewhere."""
    return jax.tree.map(lambda x, y: None if y is None else x, full, partial)
