"""Where federated algorithms differ: eight small functions, whose defaults are FedAvg.

An algorithm of the literature is a `Variant`; `federated.py` composes it with a task, a client
chain and a server chain. A variant sees whole models and never a layer, a file or a network.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol, runtime_checkable

import jax
import optax
from jaxtyping import Array, Float, Int

from fedbrain.types import Batch, Metrics, ModelState, Params, PyTree, Update, Variables


class Seen(NamedTuple):
    """What a term of a batch's loss sees."""

    features: Float[Array, "b f"]  # of the model: what enters its last layer
    batch: Batch  # its targets and its mask
    # (params, model_state) -> features [b f] of another model on the same batch, not trained
    features_of: Callable[[Params, ModelState], Array]


Term = Callable[[Seen], Array]  # one number, which is added to the batch's mean loss


@runtime_checkable
class GradientAt(Protocol):
    """The gradient of a batch's mean loss, anywhere."""

    def __call__(
        self, params: Params, model_state: ModelState, /, term: Term | None = None
    ) -> tuple[Params, tuple[ModelState, Metrics]]:
        """Returns (gradient, (model_state after the batch, additive statistics)). The statistics
        are without the term.
        """
        ...


class Start(NamedTuple):
    """What a client has before its first local step of a round."""

    round: Int[Array, ""]  # rounds completed
    extra: PyTree  # the server's, broadcast
    control: PyTree  # the client's own, from its last round
    params: Params  # the model it received, private leaves included
    model_state: ModelState
    chain: optax.GradientTransformation  # the client chain, for variants that train a second model


class Step(NamedTuple):
    """What a client has at a local step."""

    context: PyTree  # of the variant, carried from step to step
    params: Params  # the local model
    model_state: ModelState
    gradient_at: GradientAt  # of this step's batch
    chain: optax.GradientTransformation  # the client chain
    learning_rate_scale: Float[Array, ""]  # factor on every step of that chain
    batch: Batch


class Finish(NamedTuple):
    """What a client has after its last local step."""

    extra: PyTree  # the server's, broadcast
    control: PyTree  # the client's own, before the round
    context: PyTree  # of the variant, after the last step
    params: Params  # the local model
    model_state: ModelState
    delta: Params  # local minus received model, of the shared leaves, None elsewhere


class Sent(NamedTuple):
    """What the variant adds to an update, and what stays with the client."""

    upload: PyTree = ()  # sent to the server: `Update.extra`
    control: PyTree = ()  # kept until the next round
    # sent too, one number each
    metrics: dict[str, Array] = {}  # noqa: RUF012  (never written to)
    delta: Params | None = None  # in place of `Finish.delta`, of its outline; None: that one


@runtime_checkable
class ServerInit(Protocol):
    """The server's memory before the first round."""

    def __call__(self, shared: Params, examples: Float[Array, " clients"], /) -> PyTree:
        """Takes the shared parameters, and the training examples of all registered clients."""
        ...


@runtime_checkable
class ClientInit(Protocol):
    """A client's memory before its first round."""

    def __call__(self, variables: Variables, /) -> PyTree:
        """Takes the initial model; parameters that do not train are None."""
        ...


@runtime_checkable
class Receive(Protocol):
    """The shared parameters that clients start from, where they are not the server's model."""

    def __call__(self, extra: PyTree, shared: Params, /) -> Params:
        """Takes the server's memory and its shared parameters."""
        ...


@runtime_checkable
class Begin(Protocol):
    """The context that is carried through the local steps."""

    def __call__(self, start: Start, /) -> PyTree:
        """Returns it as it is before the first step."""
        ...


@runtime_checkable
class StepGradient(Protocol):
    """What a local step follows in place of the gradient."""

    def __call__(self, step: Step, /) -> tuple[Params, tuple[ModelState, Metrics], PyTree]:
        """Returns (gradient, (model_state, metrics), context)."""
        ...


@runtime_checkable
class End(Protocol):
    """What is sent beside the delta, and what the client keeps."""

    def __call__(self, finish: Finish, /) -> Sent:
        """Takes the client after its last step."""
        ...


@runtime_checkable
class ServerMove(Protocol):
    """What the server does with the rule's direction."""

    def __call__(
        self, extra: PyTree, updates: Update, direction: Params, /
    ) -> tuple[Params, PyTree]:
        """Returns (direction, memory). `updates` lead with `clients`; their deltas are trees of the
        shared parameters.
        """
        ...


@runtime_checkable
class Personal(Protocol):
    """The model that a client uses."""

    def __call__(self, control: PyTree, variables: Variables, /) -> Variables:
        """Takes the client's memory, and the server's model with the client's private leaves."""
        ...


def plain_gradient(step: Step) -> tuple[Params, tuple[ModelState, Metrics], PyTree]:
    """The gradient of the batch at the local model.

    >>> at = lambda params, model_state: (params, (model_state, {}))
    >>> step = Step((), {}, {}, at, None, 1.0, {})
    >>> plain_gradient(step)
    ({}, ({}, {}), ())
    """
    grads, aux = step.gradient_at(step.params, step.model_state)
    return grads, aux, step.context


class Variant(NamedTuple):
    """A federated algorithm, as what it does beyond FedAvg."""

    server_init: ServerInit = lambda shared, examples: ()
    client_init: ClientInit = lambda variables: ()
    begin: Begin = lambda start: ()
    gradient: StepGradient = plain_gradient
    finish: End = lambda finish: Sent()
    server: ServerMove = lambda extra, updates, direction: (direction, extra)
    personal: Personal = lambda control, variables: variables
    received: Receive = lambda extra, shared: shared


def fedavg() -> Variant:
    """Federated averaging: nothing beyond.

    >>> from fedbrain.algorithms.quadratic import local_rounds
    >>> local_rounds(fedavg())
    ([3.0, 3.0], [0.0, 0.0])

    References:
      McMahan et al. (2017), https://arxiv.org/abs/1602.05629
    """
    return Variant()


def add_shared(full: Params, partial: Params) -> Params:
    """x + y where y is shared (a leaf), x where it is private (None).

    >>> add_shared({"head": 1.0, "conv": 2.0}, {"head": None, "conv": 3.0})
    {'conv': 5.0, 'head': 1.0}
    """
    return jax.tree.map(lambda x, y: x if y is None else x + y, full, partial)


def shared_only(full: Params, partial: Params) -> Params:
    """The leaves of a full tree that a partial one has, None elsewhere.

    >>> shared_only({"head": 1.0, "conv": 2.0}, {"head": None, "conv": 3.0})
    {'conv': 2.0, 'head': None}
    """
    return jax.tree.map(lambda x, y: None if y is None else x, full, partial)
