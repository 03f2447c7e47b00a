"""The nouns of fedbrain: what a hospital sends, what the server keeps, what an algorithm is.

Everything else in the package is a function between these types.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int

PyTree = Any
Params = PyTree  # nested dictionaries of arrays; a private leaf is a None in what is sent
ModelState = PyTree  # variables that are not trained by gradient: {"batch_stats": ...} or {}
Variables = Mapping[str, PyTree]  # Flax variables {"params": ..., "batch_stats": ...}
ClientState = PyTree  # what stays in the hospital between rounds
# image [b d h w c], target [b], mask [b] (1 = real example), perhaps covariates [b k]; float32
Batch = Mapping[str, Array | np.ndarray]
Metrics = Mapping[str, Array]  # additive statistics
PLACE = "place"  # the metric that says which client of the federation a row of a cohort is
Key = jax.Array
Aggregator = optax.GradientTransformationExtraArgs  # consumes the leading `clients` axis


class Update(NamedTuple):
    """Everything that leaves a hospital, and nothing else. With a leading `clients` axis: a
    cohort's updates.
    """

    # after - before of the shared parameters, as one vector in the order of their paths
    delta: Float[Array, "*clients p"]
    model_state: ModelState  # shared collections that are not trained, values not differences
    weight: Float[Array, "*clients"]  # number of training examples; 0 = absent
    metrics: Metrics  # additive statistics, summed over clients
    extra: PyTree  # () for most algorithms; SCAFFOLD's change of control, Mime's gradient


class ServerState(NamedTuple):
    """Everything the server carries from round to round."""

    round: Int[Array, ""]  # rounds completed
    params: Params  # of the global model, private leaves at their initial values
    model_state: ModelState  # likewise
    opt_state: optax.OptState  # of the server's links and of its optimiser
    # factor on every client's step, lowered together on a plateau
    learning_rate_scale: Float[Array, ""]
    extra: PyTree  # the algorithm's own memory


class Reduced(NamedTuple):
    """What the server makes of a cohort's updates, before it takes its step."""

    direction: Float[Array, " p"]  # in place of a gradient: the server steps against it
    links: optax.OptState  # of the aggregator, after the round
    extra: PyTree  # the algorithm's own memory, after the round
    model_state: ModelState  # the cohort's shared statistics, made one
    some_present: Bool[Array, ""]  # False: nobody took part, the round is skipped
    info: Metrics  # [clients] or one number each


@runtime_checkable
class BeginRound(Protocol):
    """A client before its first step."""

    def __call__(self, broadcast: ServerState, client_state: ClientState, key: Key, /) -> PyTree:
        """Returns the carry of the local steps."""
        ...


@runtime_checkable
class LocalStep(Protocol):
    """One step on one batch."""

    def __call__(self, carry: PyTree, batch: Batch, /) -> tuple[PyTree, Metrics]:
        """Returns the carry and this step's additive statistics."""
        ...


@runtime_checkable
class FinishRound(Protocol):
    """A client after its last step."""

    def __call__(
        self, broadcast: ServerState, carry: PyTree, metrics: Metrics, /
    ) -> tuple[Update, ClientState]:
        """Returns what leaves the hospital and what stays; `metrics` are sums over the steps."""
        ...


class LocalTrainer(NamedTuple):
    """What a hospital computes in a round, cut where a map can stream, scan or spread it."""

    init: BeginRound
    step: LocalStep
    finish: FinishRound


@runtime_checkable
class InitServer(Protocol):
    """The server before the first round."""

    def __call__(self, variables: Variables, examples: Float[Array, " clients"], /) -> ServerState:
        """Takes the initial model, and the training examples of all registered clients."""
        ...


@runtime_checkable
class InitClient(Protocol):
    """A client before its first round."""

    def __call__(self, variables: Variables, /) -> ClientState:
        """Takes the initial model."""
        ...


@runtime_checkable
class Reduce(Protocol):
    """The first half of the server's step. After it nobody needs the cohort."""

    def __call__(self, state: ServerState, updates: Update, /) -> Reduced:
        """Takes the updates of a cohort, [clients, ...]."""
        ...


@runtime_checkable
class Apply(Protocol):
    """The second half of the server's step."""

    def __call__(self, state: ServerState, reduced: Reduced, /) -> tuple[ServerState, Metrics]:
        """Returns the next state, and what is logged of the round."""
        ...


@runtime_checkable
class ClientVariables(Protocol):
    """The model that a client evaluates and uses."""

    def __call__(self, state: ServerState, client_state: ClientState, /) -> Variables:
        """Takes the server's state, and what the client kept."""
        ...


@runtime_checkable
class Shared(Protocol):
    """The leaves that leave a hospital."""

    def __call__(self, variables: Variables, /) -> Variables:
        """Returns them in their places, None elsewhere."""
        ...


class Algorithm(NamedTuple):
    """A federated algorithm, cut at the network: between `local` and `reduce` stands a map or a
    hospital.

    A round is `apply(state, reduce(state, map(local)))`.
    """

    init: InitServer
    init_client: InitClient
    local: LocalTrainer
    reduce: Reduce
    apply: Apply
    client_variables: ClientVariables
    shared: Shared


@runtime_checkable
class PerExample(Protocol):
    """The loss of each example."""

    def __call__(self, output: Float[Array, "b k"], target: Float[Array, " b"], /) -> Array:
        """Returns losses [b]; the target is in its own units."""
        ...


@runtime_checkable
class Predict(Protocol):
    """From a network's output to a prediction."""

    def __call__(self, output: Float[Array, "b k"], /) -> Array:
        """Returns predictions [b] in the units of the target, or probabilities of classes [b k]."""
        ...


class Loss(NamedTuple):
    """How a network's output becomes a prediction in target units, and what an error costs."""

    outputs: int  # width of the network's last layer
    per_example: PerExample
    predict: Predict
    classes: tuple[str, ...] = ()  # names, where probabilities of classes are predicted


@runtime_checkable
class InitTask(Protocol):
    """Fresh variables."""

    def __call__(self, key: Key, image: Array, covariates: Array | None = None, /) -> Variables:
        """Takes an image [b d h w c], and covariates [b k] where the network takes some."""
        ...


@runtime_checkable
class TrainingLoss(Protocol):
    """The mean loss of a batch in training."""

    def __call__(
        self, params: Params, model_state: ModelState, batch: Batch, key: Key, /
    ) -> tuple[Array, tuple[ModelState, Metrics]]:
        """Returns (loss, (model_state after the batch, additive statistics)); the key is of
        dropout.
        """
        ...


@runtime_checkable
class EvaluateBatch(Protocol):
    """A model on a batch, in evaluation."""

    def __call__(
        self, params: Params, model_state: ModelState, batch: Batch, /
    ) -> tuple[Array, Array]:
        """Returns (predictions [b] in target units, or probabilities [b k]; losses [b])."""
        ...


@runtime_checkable
class LossWithFeatures(Protocol):
    """The mean loss of a batch in training, and what enters the last layer there."""

    def __call__(
        self, params: Params, model_state: ModelState, batch: Batch, key: Key, /
    ) -> tuple[tuple[Array, Float[Array, "b f"]], tuple[ModelState, Metrics]]:
        """Returns ((loss, features), and what `TrainingLoss` returns beside its loss)."""
        ...


class Task(NamedTuple):
    """A network with its loss, as pure functions."""

    init: InitTask
    loss: TrainingLoss
    evaluate: EvaluateBatch
    with_features: LossWithFeatures | None = None  # None: it has no layers
