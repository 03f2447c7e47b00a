"""The nouns of fedbrain: what a hospital sends, what the server keeps, what an algorithm is.

Everything else in the package is a function between these types.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int

PyTree = Any
Params = PyTree  # nested dictionaries of arrays; a private leaf is a None in what is exchanged
ModelState = PyTree  # variables that are not trained by gradient: {"batch_stats": ...} or {}
Variables = Mapping[str, PyTree]  # Flax variables {"params": ..., "batch_stats": ...}
ClientState = PyTree  # what stays in the hospital between rounds
Batch = Mapping[
    str, Array | np.ndarray
]  # image [b d h w c], target [b], mask [b] (1 = real example), perhaps covariates [b k]; float32
Metrics = Mapping[str, Array]  # additive statistics
Key = jax.Array
Aggregator = optax.GradientTransformationExtraArgs  # consumes the leading `clients` axis


class Update(NamedTuple):
    """Everything that leaves a hospital, and nothing else. With a leading `clients` axis: a
    cohort's updates.
    """

    # after - before of the shared parameters, as one vector in the order of their paths
    delta: Float[Array, "*clients p"]
    model_state: ModelState  # shared non-trained collections, values not differences
    weight: Float[Array, "*clients"]  # number of training examples; 0 = absent
    metrics: Metrics  # additive statistics, summed over clients
    extra: PyTree  # () for most algorithms; SCAFFOLD's change of control, Mime's gradient


class ServerState(NamedTuple):
    """Everything the server carries from round to round."""

    round: Int[Array, ""]  # rounds completed
    params: Params
    model_state: ModelState
    opt_state: optax.OptState  # of the server's links and of its optimiser
    learning_rate_scale: Float[
        Array, ""
    ]  # factor on every client's step, lowered together on a plateau
    extra: PyTree  # the algorithm's own memory


class Reduced(NamedTuple):
    """What the server makes of a cohort's updates, before it takes its step."""

    direction: Float[Array, " p"]
    links: optax.OptState  # of the aggregator, after the round
    extra: PyTree
    model_state: ModelState
    some_present: Bool[Array, ""]  # False: nobody took part, the round is skipped
    info: Metrics


class LocalTrainer(NamedTuple):
    """What a hospital computes in a round, cut where a driver can stream, scan or map it."""

    init: Callable[
        [ServerState, ClientState, Key], PyTree
    ]  # (broadcast, client_state, key) -> carry
    step: Callable[[PyTree, Batch], tuple[PyTree, Metrics]]  # (carry, batch) -> (carry, metrics)
    finish: Callable[
        [ServerState, PyTree, Metrics], tuple[Update, ClientState]
    ]  # (broadcast, carry, metrics)


class Algorithm(NamedTuple):
    """A federated algorithm, cut at the network: between `local` and `reduce` stands a map or a
    hospital.

    A round is `apply(state, reduce(state, map(local)))`. After `reduce` nobody needs the cohort.
    """

    init: Callable[
        [Variables, Array], ServerState
    ]  # (variables, training examples [registered clients])
    init_client: Callable[[Variables], ClientState]
    local: LocalTrainer
    reduce: Callable[[ServerState, Update], Reduced]  # (state, updates [clients, ...])
    apply: Callable[[ServerState, Reduced], tuple[ServerState, Metrics]]
    client_variables: Callable[
        [ServerState, ClientState], Variables
    ]  # the model a client evaluates and uses
    shared: Callable[[Variables], Variables]  # the leaves that leave a hospital, None elsewhere


class Loss(NamedTuple):
    """How a network's output becomes a prediction in target units, and what an error costs."""

    outputs: int  # width of the network's last layer
    per_example: Callable[[Float[Array, "b k"], Float[Array, " b"]], Float[Array, " b"]]
    predict: Callable[[Float[Array, "b k"]], Float[Array, " b"]]


class Task(NamedTuple):
    """A network with its loss, as pure functions."""

    init: Callable[
        ..., Variables
    ]  # (key, image [b d h w c], covariates [b k] where a network takes some)
    # (params, model_state, batch, key) -> (mean loss, (model_state, metrics))
    loss: Callable[[Params, ModelState, Batch, Key], tuple[Array, tuple[ModelState, Metrics]]]
    # (params, model_state, batch) -> (prediction [b] in target units, per-example loss [b])
    evaluate: Callable[[Params, ModelState, Batch], tuple[Array, Array]]
