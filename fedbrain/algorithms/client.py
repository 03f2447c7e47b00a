"""The client's side of an algorithm: local steps from the global model w to the delta D = y - w.

    y <- y + s u,    u, opt_state = chain(g(y), opt_state, y)      s: the learning-rate scale

g is the gradient of the batch as the variant has it. What is private (leaves that are not shared,
the memories of variant and upload) stays in the client's state.
"""

from functools import partial
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Int

from fedbrain.algorithms.accumulation import gradient_of
from fedbrain.algorithms.leaves import combine
from fedbrain.algorithms.sharing import Sharing, split
from fedbrain.algorithms.variant import Finish, Start, Step, Variant
from fedbrain.types import (
    Batch,
    Key,
    LocalTrainer,
    Metrics,
    ModelState,
    Params,
    PyTree,
    ServerState,
    Task,
    Update,
    Variables,
)  # fmt: skip


class ClientChain(NamedTuple):
    """What a client runs in a round."""

    task: Task  # the network and its loss
    optimizer: optax.GradientTransformation  # links of a local step; their state starts every round
    upload: optax.GradientTransformation = optax.identity()  # of the delta [p], before it leaves
    microbatches: int = 1  # parts in which the gradient of a batch is computed


class Private(NamedTuple):
    """Client state: what stays in the hospital between rounds."""

    params: Params  # those that train and are not shared, None elsewhere
    model_state: ModelState  # likewise
    control: PyTree  # the variant's memory
    upload: optax.OptState  # the upload's memory: its error feedback


class Carry(NamedTuple):
    """A local model in training."""

    params: Params  # those that train, None elsewhere
    frozen: Params  # the others
    model_state: ModelState
    opt_state: optax.OptState  # of the client's optimiser
    step: Int[Array, ""]  # steps taken, padded ones not counted
    key: Key
    learning_rate_scale: Float[Array, ""]  # factor on every step
    context: PyTree  # the variant's, from step to step
    control: PyTree  # the variant's memory before the round
    upload: optax.OptState


def make_local(client: ClientChain, variant: Variant, sharing: Sharing) -> LocalTrainer:
    """What a hospital computes in a round.

    >>> from fedbrain.algorithms.quadratic import quadratic_task
    >>> from fedbrain.algorithms.variant import fedavg
    >>> client = ClientChain(quadratic_task(), optax.sgd(0.5))
    >>> make_local(client, fedavg(), Sharing())._fields
    ('init', 'step', 'finish')
    """
    return LocalTrainer(
        init=partial(_begin, client, variant, sharing),
        # traced once for all programs that it is part of
        step=jax.jit(partial(_step, client, variant), inline=True),
        finish=partial(_finish, client, variant, sharing),
    )


def init_client(
    client: ClientChain, variant: Variant, sharing: Sharing, variables: Variables
) -> Private:
    """A client's state before its first round.

    >>> from fedbrain.algorithms.quadratic import quadratic_task
    >>> from fedbrain.algorithms.variant import fedavg
    >>> client = ClientChain(quadratic_task(), optax.sgd(0.5))
    >>> init_client(client, fedavg(), Sharing(), {"params": {"w": jnp.zeros(1)}})
    Private(params={'w': None}, model_state={}, control=(), upload=EmptyState())
    """
    trained, _ = sharing.trained(variables["params"])
    upload = client.upload.init(ravel_pytree(sharing.sent_params(variables["params"]))[0])
    control = variant.client_init({**variables, "params": trained})
    return Private(*split(sharing.private(variables)), control, upload)


def client_variables(
    variant: Variant, sharing: Sharing, state: ServerState, own: Private
) -> Variables:
    """The model that a client evaluates and uses: the server's, with its own leaves.

    >>> from fedbrain.algorithms.quadratic import quadratic_algorithm
    >>> algorithm = quadratic_algorithm()
    >>> state = algorithm.init({"params": {"w": jnp.ones(1)}}, jnp.ones(1))
    >>> algorithm.client_variables(state, algorithm.init_client({"params": state.params}))
    {'params': {'w': Array([1.], dtype=float32)}}
    """
    params, model_state = _received(state, own)
    trained, _ = sharing.trained(params)
    used = variant.personal(own.control, {"params": trained, **model_state})
    return {**used, "params": combine(used["params"], params)}


def _received(state: ServerState, own: Private) -> tuple[Params, ModelState]:
    return combine(own.params, state.params), combine(own.model_state, state.model_state)


def _departure(variant: Variant, sharing: Sharing, broadcast: ServerState) -> Params:
    """The shared parameters that clients start from."""
    return variant.received(broadcast.extra, sharing.sent_params(broadcast.params))


def _begin(
    client: ClientChain,
    variant: Variant,
    sharing: Sharing,
    broadcast: ServerState,
    own: Private,
    key: Key,
) -> Carry:
    shared = _departure(variant, sharing, broadcast)
    received, model_state = _received(
        broadcast._replace(params=combine(shared, broadcast.params)), own
    )
    params, frozen = sharing.trained(received)
    start = Start(
        broadcast.round, broadcast.extra, own.control, params, model_state, client.optimizer
    )
    return Carry(
        params=params,
        frozen=frozen,
        model_state=model_state,
        opt_state=client.optimizer.init(params),
        step=jnp.zeros((), jnp.int32),
        key=key,
        learning_rate_scale=broadcast.learning_rate_scale,
        context=variant.begin(start),
        control=own.control,
        upload=own.upload,
    )


def _step(
    client: ClientChain, variant: Variant, carry: Carry, batch: Batch
) -> tuple[Carry, Metrics]:
    def whole(function: Any) -> Any:
        return lambda params, *rest: function(combine(params, carry.frozen), *rest)

    task, scale = client.task, carry.learning_rate_scale
    key = jax.random.fold_in(carry.key, carry.step)
    gradient_at = gradient_of(
        whole(task.loss),
        batch,
        key,
        parts=client.microbatches,
        with_features=whole(task.with_features) if task.with_features else None,
    )
    step = Step(
        carry.context, carry.params, carry.model_state, gradient_at, client.optimizer, scale, batch
    )
    grads, (model_state, metrics), context = variant.gradient(step)
    updates, opt_state = client.optimizer.update(grads, carry.opt_state, carry.params)
    params = optax.apply_updates(carry.params, jax.tree.map(lambda u: u * scale, updates))
    after = carry._replace(
        params=params,
        model_state=model_state,
        opt_state=opt_state,
        step=carry.step + 1,
        context=context,
    )
    return after, metrics


def _finish(
    client: ClientChain,
    variant: Variant,
    sharing: Sharing,
    broadcast: ServerState,
    carry: Carry,
    metrics: Metrics,
) -> tuple[Update, Private]:
    before, after = _departure(variant, sharing, broadcast), sharing.sent_params(carry.params)
    delta = jax.tree.map(jnp.subtract, after, before)
    sent = variant.finish(
        Finish(
            broadcast.extra, carry.control, carry.context, carry.params, carry.model_state, delta
        )
    )
    delta = delta if sent.delta is None else sent.delta
    vector, upload = client.upload.update(ravel_pytree(delta)[0], carry.upload)
    metrics = {**metrics, **sent.metrics}
    update = Update(
        delta=cast(Array, vector),
        model_state=sharing.sent(carry.model_state),
        weight=metrics["examples"],
        metrics=metrics,
        extra=sent.upload,
    )
    private = sharing.private({"params": carry.params, **carry.model_state})
    return update, Private(*split(private), sent.control, upload)
