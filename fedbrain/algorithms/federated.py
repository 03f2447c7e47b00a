"""A variant, a task and two optax chains become one `Algorithm`.

Client i starts from the global model w, takes local steps of its own chain to y_i and sends D_i =
y_i - w. The server feeds the pseudo-gradients -D_i to its links: with `weighted_mean` and
`sgd(1.0)` that is w <- w + sum_i p_i D_i.

References:
  McMahan et al. (2017), https://arxiv.org/abs/1602.05629
  Reddi et al. (2021), https://arxiv.org/abs/2003.00295
"""

from collections.abc import Callable
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Int

from fedbrain.aggregators.rejection import finite, finite_clients
from fedbrain.algorithms.accumulation import gradient_of
from fedbrain.algorithms.diagnostics import diagnose
from fedbrain.algorithms.exchange import Exchange, combine, everything, partition
from fedbrain.algorithms.variant import Finish, Start, Step, Variant, fedavg
from fedbrain.types import (
    Algorithm,
    Batch,
    ClientState,
    Key,
    LocalTrainer,
    Metrics,
    ModelState,
    Params,
    PyTree,
    Reduced,
    ServerState,
    Task,
    Update,
    Variables,
)  # fmt: skip


class Private(NamedTuple):
    """Client state: what the exchange keeps in the hospital (None elsewhere), and the memories of
    variant and upload.
    """

    params: Params
    model_state: ModelState
    control: PyTree
    upload: optax.OptState


class Carry(NamedTuple):
    """A local model in training."""

    params: Params  # that train, None elsewhere
    frozen: Params  # the others
    model_state: ModelState
    opt_state: optax.OptState
    step: Int[Array, ""]
    key: Key
    learning_rate_scale: Float[Array, ""]
    context: PyTree  # of the variant
    control: PyTree  # before the round
    upload: optax.OptState


def federated(
    task: Task,
    client_chain: optax.GradientTransformation,
    aggregator: optax.GradientTransformationExtraArgs,
    server_optimizer: optax.GradientTransformation,
    *,
    variant: Variant = fedavg(),  # noqa: B008  (pure functions)
    exchange: Exchange = everything(),  # noqa: B008
    statistics: Callable[[ModelState, Float[Array, " clients"]], ModelState],
    upload: optax.GradientTransformation = optax.identity(),  # noqa: B008
    microbatches: int = 1,
    trainable: Exchange = everything(),  # noqa: B008
) -> Algorithm:
    """Composes an algorithm.

    Args:
      task: the network and its loss.
      client_chain: of a local step; its state starts anew every round.
      aggregator: links that end in one without clients axis; receives pseudo-gradients [clients,
        coordinates], `weights` [clients] and `metrics` {name: [clients]}.
      server_optimizer: of a round; receives the direction.
      variant: what the algorithm does beyond FedAvg.
      exchange: which leaves are shared.
      statistics: how the shared batch statistics of a cohort become one.
      upload: what a client does to its delta before it leaves, a vector; its memory (error
        feedback) stays with the client.
      microbatches: parts in which the gradient of a batch is computed.
      trainable: which leaves train; the others are the server's initial ones for ever, and no
        variant sees them.
    """

    def sent(collection: str, path: str) -> bool:
        return trainable(collection, path) and exchange(collection, path)

    def kept(collection: str, path: str) -> bool:
        return trainable(collection, path) and not exchange(collection, path)

    def split(variables: Variables) -> tuple[Params, ModelState]:
        return variables["params"], {
            name: tree for name, tree in variables.items() if name != "params"
        }

    def active(variables: Variables) -> Variables:
        return {**variables, "params": partition("params", variables["params"], trainable)[0]}

    def private(
        params: Params, model_state: ModelState, control: PyTree, memory: optax.OptState
    ) -> Private:
        own = {name: partition(name, tree, kept)[0] for name, tree in model_state.items()}
        return Private(partition("params", params, kept)[0], own, control, memory)

    def shared_of(params: Params) -> Params:
        return partition("params", params, sent)[0]

    def init(variables: Variables, examples: Float[Array, " clients"]) -> ServerState:
        params, model_state = split(variables)
        vector = ravel_pytree(shared_of(params))[0]
        if not vector.size:
            raise ValueError(
                "Expected an exchange that shares something that trains, got nothing to send."
            )
        opt_state = (aggregator.init(vector), server_optimizer.init(vector))
        extra = variant.server_init(shared_of(params), examples)
        one = jnp.ones((), jnp.float32)
        return ServerState(jnp.zeros((), jnp.int32), params, model_state, opt_state, one, extra)

    def init_client(variables: Variables) -> ClientState:
        params, model_state = split(variables)
        memory = upload.init(ravel_pytree(shared_of(params))[0])
        return private(params, model_state, variant.client_init(active(variables)), memory)

    def received(state: ServerState, own: Private) -> tuple[Params, ModelState]:
        return combine(own.params, state.params), combine(own.model_state, state.model_state)

    def client_variables(state: ServerState, own: Private) -> Variables:
        params, model_state = received(state, own)
        used = variant.personal(own.control, active({"params": params, **model_state}))
        return {**used, "params": combine(used["params"], params)}

    def local_init(broadcast: ServerState, own: Private, key: Key) -> Carry:
        whole, model_state = received(broadcast, own)
        params, frozen = partition("params", whole, trainable)
        start = Start(
            broadcast.round, broadcast.extra, own.control, params, model_state, client_chain
        )
        zero, scale = jnp.zeros((), jnp.int32), broadcast.learning_rate_scale
        opt_state, context = client_chain.init(params), variant.begin(start)
        return Carry(
            params,
            frozen,
            model_state,
            opt_state,
            zero,
            key,
            scale,
            context,
            own.control,
            own.upload,
        )

    def local_step(carry: Carry, batch: Batch) -> tuple[Carry, Metrics]:
        key = jax.random.fold_in(carry.key, carry.step)

        def loss(params: Params, *rest: Any):
            return task.loss(combine(params, carry.frozen), *rest)

        gradient_at = gradient_of(loss, batch, key, parts=microbatches)
        scale = carry.learning_rate_scale
        step = Step(
            carry.context, carry.params, carry.model_state, gradient_at, client_chain, scale
        )
        grads, (model_state, metrics), context = variant.gradient(step)
        updates, opt_state = client_chain.update(grads, carry.opt_state, carry.params)
        params = optax.apply_updates(carry.params, jax.tree.map(lambda u: u * scale, updates))
        carry = carry._replace(
            params=params,
            model_state=model_state,
            opt_state=opt_state,
            step=carry.step + 1,
            context=context,
        )
        return carry, metrics

    def finish(
        broadcast: ServerState, carry: Carry, metrics: Metrics
    ) -> tuple[Update, ClientState]:
        delta = jax.tree.map(jnp.subtract, shared_of(carry.params), shared_of(broadcast.params))
        end = Finish(
            broadcast.extra, carry.control, carry.context, carry.params, carry.model_state, delta
        )
        told = variant.finish(end)
        vector, unravel = ravel_pytree(delta)
        sent_vector, memory = upload.update(vector, carry.upload)
        shared = {name: partition(name, tree, sent)[0] for name, tree in carry.model_state.items()}
        metrics = {**metrics, **told.metrics}
        update = Update(
            unravel(cast(Array, sent_vector)), shared, metrics["examples"], metrics, told.upload
        )
        return update, private(carry.params, carry.model_state, told.control, memory)

    def usable(update: Update) -> Update:
        fine = finite_clients((update.delta, update.model_state, update.extra), update.weight)
        return update._replace(weight=jnp.where(fine, update.weight, 0))

    def server_update(state: ServerState, update: Update) -> tuple[ServerState, Metrics]:
        deltas = jax.vmap(lambda tree: ravel_pytree(tree)[0])(
            update.delta
        )  # [clients, coordinates]
        used = usable(update)
        return server_apply(
            state,
            reduced(
                -deltas, state, used, update.weight, lambda d: diagnose(deltas, used.weight, -d)
            ),
        )

    def server_reduce(
        state: ServerState, gradients: Float[Array, "clients p"], update: Update
    ) -> Reduced:
        used = usable(update._replace(delta=gradients))
        whole = used._replace(delta=jax.vmap(ravel_pytree(shared_of(state.params))[1])(-gradients))
        return reduced(
            gradients, state, whole, update.weight, lambda d: diagnose(gradients, used.weight, d)
        )

    def reduced(
        gradients: Array,
        state: ServerState,
        update: Update,
        arrived: Array,
        report: Callable[[Array], Metrics],
    ):
        vector, unravel = ravel_pytree(shared_of(state.params))
        links, _ = cast(tuple, state.opt_state)
        found, links = aggregator.update(
            gradients, links, vector, weights=update.weight, metrics=update.metrics
        )
        direction = cast(Array, found)
        info = {**report(direction), "rejected": (update.weight != arrived).astype(jnp.float32)}
        tree, extra = variant.server(state.extra, update, unravel(direction))
        model_state, anybody = (
            statistics(update.model_state, update.weight),
            update.weight.sum() > 0,
        )
        return Reduced(ravel_pytree(tree)[0], links, extra, model_state, anybody, info)

    def server_apply(state: ServerState, cohort: Reduced) -> tuple[ServerState, Metrics]:
        shared = shared_of(state.params)
        vector, unravel = ravel_pytree(shared)
        _, optimizer = cast(tuple, state.opt_state)
        step, optimizer = server_optimizer.update(cohort.direction, optimizer, vector)
        moved: Any = optax.apply_updates(shared, unravel(cast(Array, step)))
        params, model_state = (
            combine(moved, state.params),
            combine(cohort.model_state, state.model_state),
        )

        # Nobody there, or a rule that is not defined for those who are: the round is skipped.
        defined = cohort.anybody & finite(moved)
        new = (params, model_state, (cohort.links, optimizer), cohort.extra)
        old = (state.params, state.model_state, state.opt_state, state.extra)
        params, model_state, opt_state, extra = jax.tree.map(
            lambda n, o: jnp.where(defined, n, o), new, old
        )
        state = state._replace(
            params=params, model_state=model_state, opt_state=opt_state, extra=extra
        )
        return state._replace(round=state.round + 1), {
            **cohort.info,
            "skipped": (~defined).astype(jnp.float32),
        }

    trainer = LocalTrainer(local_init, local_step, finish)
    return Algorithm(
        init, init_client, trainer, server_update, server_reduce, server_apply, client_variables
    )
