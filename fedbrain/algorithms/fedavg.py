"""Federated averaging with an optax chain at the clients and another at the server.

Client i starts from the global model w, takes local steps of its own chain to y_i and sends D_i = y_i - w. The server
feeds the pseudo-gradients -D_i to its chain: with `weighted_mean` and `sgd(1.0)` that is w <- w + sum_i p_i D_i.

References:
  McMahan et al. (2017), https://arxiv.org/abs/1602.05629
  Reddi et al. (2021), https://arxiv.org/abs/2003.00295
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Int

from fedbrain.aggregators.mean import normalised
from fedbrain.algorithms.exchange import Exchange, combine, everything, partition
from fedbrain.types import (
    Algorithm,
    Batch,
    ClientState,
    Key,
    LocalTrainer,
    Metrics,
    ModelState,
    Params,
    ServerState,
    Task,
    Update,
    Variables,
)  # fmt: skip


class Private(NamedTuple):
    """Client state of `fedavg`: the leaves that the exchange keeps in the hospital, None elsewhere."""

    params: Params
    model_state: ModelState


class Carry(NamedTuple):
    """A local model in training."""

    params: Params
    model_state: ModelState
    opt_state: optax.OptState
    step: Int[Array, ""]
    key: Key
    learning_rate_scale: Float[Array, ""]


def fedavg(
    task: Task,
    client_chain: optax.GradientTransformation,
    server_chain: optax.GradientTransformationExtraArgs,
    *,
    exchange: Exchange = everything(),  # noqa: B008  (a pure function)
    statistics: Callable[[ModelState, Float[Array, " clients"]], ModelState],
) -> Algorithm:
    """FedAvg and its family.

    Args:
      task: the network and its loss.
      client_chain: of a local step; its state starts anew every round.
      server_chain: of a round; receives pseudo-gradients [clients, coordinates] and `weights` [clients].
      exchange: which leaves are shared.
      statistics: how the shared batch statistics of a cohort become one.
    """

    def private_part(params: Params, model_state: ModelState) -> Private:
        kept = {name: partition(name, tree, exchange)[1] for name, tree in model_state.items()}
        return Private(partition("params", params, exchange)[1], kept)

    def init(variables: Variables) -> ServerState:
        model_state = {name: tree for name, tree in variables.items() if name != "params"}
        shared, _ = partition("params", variables["params"], exchange)
        opt_state = server_chain.init(ravel_pytree(shared)[0])
        one = jnp.ones((), jnp.float32)
        return ServerState(jnp.zeros((), jnp.int32), variables["params"], model_state, opt_state, one, ())

    def init_client(variables: Variables) -> ClientState:
        model_state = {name: tree for name, tree in variables.items() if name != "params"}
        return private_part(variables["params"], model_state)

    def client_variables(state: ServerState, client_state: Private) -> Variables:
        return {
            "params": combine(client_state.params, state.params),
            **combine(client_state.model_state, state.model_state),
        }

    def local_init(broadcast: ServerState, client_state: Private, key: Key) -> Carry:
        variables = dict(client_variables(broadcast, client_state))
        params = variables.pop("params")
        opt_state = client_chain.init(params)
        return Carry(params, variables, opt_state, jnp.zeros((), jnp.int32), key, broadcast.learning_rate_scale)

    def local_step(carry: Carry, batch: Batch) -> tuple[Carry, Metrics]:
        key = jax.random.fold_in(carry.key, carry.step)
        gradient = jax.grad(task.loss, has_aux=True)
        grads, (model_state, metrics) = gradient(carry.params, carry.model_state, batch, key)
        updates, opt_state = client_chain.update(grads, carry.opt_state, carry.params)
        updates = jax.tree.map(lambda u: u * carry.learning_rate_scale, updates)
        params = optax.apply_updates(carry.params, updates)
        return carry._replace(params=params, model_state=model_state, opt_state=opt_state, step=carry.step + 1), metrics

    def finish(broadcast: ServerState, carry: Carry, metrics: Metrics) -> tuple[Update, ClientState]:
        before = client_variables(broadcast, private_part(carry.params, carry.model_state))["params"]
        delta = jax.tree.map(jnp.subtract, carry.params, before)
        shared = {name: partition(name, tree, exchange)[0] for name, tree in carry.model_state.items()}
        update = Update(partition("params", delta, exchange)[0], shared, metrics["examples"], metrics, ())
        return update, private_part(carry.params, carry.model_state)

    def server_update(state: ServerState, update: Update) -> tuple[ServerState, Metrics]:
        shared, private = partition("params", state.params, exchange)
        vector, unravel = ravel_pytree(shared)
        deltas = jax.vmap(lambda tree: ravel_pytree(tree)[0])(update.delta)  # [clients, coordinates]
        direction, opt_state = server_chain.update(-deltas, state.opt_state, vector, weights=update.weight)
        moved: Any = optax.apply_updates(vector, direction)
        params = combine(unravel(moved), private)
        model_state = combine(statistics(update.model_state, update.weight), state.model_state)

        present = update.weight.sum() > 0
        new = (params, model_state, opt_state)
        old = (state.params, state.model_state, state.opt_state)
        params, model_state, opt_state = jax.tree.map(lambda n, o: jnp.where(present, n, o), new, old)
        state = state._replace(round=state.round + 1, params=params, model_state=model_state, opt_state=opt_state)
        return state, drift(deltas, update.weight)

    local = LocalTrainer(local_init, local_step, finish)
    return Algorithm(init, init_client, local, server_update, client_variables)


def drift(deltas: Float[Array, "clients p"], weights: Float[Array, " clients"]) -> Metrics:
    """How far the clients pull apart, from one Gram matrix G = D D^T: the round's heterogeneity report.

    Returns:
      `delta_norm` [clients] = ||D_i||, `cosine` [clients] = cos(D_i, sum p D), `diversity` = sum p ||D_i||^2 / ||sum p D||^2
      (1 when all agree).

    References:
      Yin et al. (2018), gradient diversity, https://arxiv.org/abs/1706.05699
    """
    deltas = jnp.where(weights[:, None] > 0, deltas, 0)
    p = normalised(weights)
    gram = deltas @ deltas.T
    norms = jnp.sqrt(jnp.diag(gram))
    mean_square = jnp.maximum(p @ gram @ p, jnp.finfo(gram.dtype).tiny)
    cosine = gram @ p / jnp.maximum(norms * jnp.sqrt(mean_square), jnp.finfo(gram.dtype).tiny)
    return {"delta_norm": norms, "cosine": cosine, "diversity": p @ norms**2 / mean_square}
