"""Whole federations in one compiled loop, for small models on arrays in memory: rounds by `scan`,
clients by `vmap`.

The same `Algorithm` as between hospitals, with the same guarded step; only the map differs.
Everything is a function of a key, so that seeds, splits and hyperparameters can be mapped too.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from fedbrain.training import local_steps
from fedbrain.training.round import server_step
from fedbrain.types import (
    Algorithm,
    Batch,
    ClientState,
    Key,
    Metrics,
    PyTree,
    ServerState,
    Variables,
)


class Clients(NamedTuple):
    """The data of N clients, padded to the longest."""

    image: Float[Array, "clients n *features"]
    target: Float[Array, "clients n"]
    mask: Float[Array, "clients n"]  # 1 = real


class Plan(NamedTuple):
    """How long, and who."""

    rounds: int
    batch_size: int  # at least the longest client: full batches
    steps: Int[np.ndarray, " clients"]  # local steps of each client; fewer for a straggler
    cohort: int  # clients drawn for a round
    drop_out: float  # chance that a drawn client does not come
    every: int  # rounds between evaluations


class Outcome(NamedTuple):
    """What a simulation ends with."""

    server: ServerState
    clients: ClientState  # [clients, ...]
    history: PyTree  # of `evaluate`, [rounds // every, ...]
    metrics: Metrics  # of the rounds, [rounds, ...]


def batch_of(data: Clients, key: Key, step: Array, size: int) -> Batch:
    """Batch `step` of one client: its examples in an order drawn from the key, epoch after epoch;
    all when they fit.
    """
    n = data.mask.shape[0]
    if size >= n:
        return {"image": data.image, "target": data.target, "mask": data.mask}
    order = jnp.argsort(jnp.where(data.mask > 0, jax.random.uniform(key, (n,)), jnp.inf))
    real = jnp.maximum(data.mask.sum().astype(jnp.int32), 1)
    place = step * size + jnp.arange(size)
    chosen = order[place % real]
    once = jnp.arange(size) < real  # a client with fewer examples than a batch has each once
    return {
        "image": data.image[chosen],
        "target": data.target[chosen],
        "mask": data.mask[chosen] * once,
    }


def models(algorithm: Algorithm, server: ServerState, own: ClientState, clients: int) -> Variables:
    """The model that each client uses, with a leading clients axis."""
    return jax.vmap(algorithm.client_variables, (None, 0), axis_size=clients)(server, own)


def make_client(algorithm: Algorithm, plan: Plan) -> Callable:
    """(broadcast, client state, its examples, steps, key) -> (update, client state): a client's
    part of a round.
    """
    trainer = algorithm.local
    step = local_steps.guard(trainer.step)
    longest = int(max(plan.steps))

    def client(broadcast: ServerState, own: ClientState, examples: Clients, steps: Array, key: Key):
        shuffle, noise = jax.random.split(key)
        first = batch_of(examples, shuffle, jnp.asarray(0), plan.batch_size)
        progress = local_steps.begin(trainer, broadcast, own, noise, first)

        def one(progress: local_steps.Progress, k: Array):
            batch = dict(batch_of(examples, shuffle, k, plan.batch_size))
            batch["mask"] = batch["mask"] * (k < steps)
            return step(progress, batch), None

        progress, _ = jax.lax.scan(one, progress, jnp.arange(longest))
        return local_steps.end(trainer, broadcast, own, progress, examples.mask.sum())

    return client


def simulate(
    algorithm: Algorithm,
    variables: Variables,
    data: Clients,
    plan: Plan,
    key: Key,
    *,
    evaluate: Callable[[ServerState, ClientState], PyTree],
) -> Outcome:
    """Runs all rounds.

    Args:
      algorithm: what is computed.
      variables: the initial model, of every client too.
      data: training examples.
      plan: how long, and who.
      key: of cohorts, drop-outs and batches.
      evaluate: (server state, client states [clients, ...]) -> anything of one shape, taken every
        `plan.every` rounds.
    """
    c = data.mask.shape[0]
    examples = data.mask.sum(1)
    client = make_client(algorithm, plan)
    start = jax.tree.map(
        lambda x: jnp.broadcast_to(x, (c, *x.shape)), algorithm.init_client(variables)
    )

    def round(carry, number: Array):
        server, own = carry
        now = jax.random.fold_in(key, number)
        drawn = jnp.sort(jax.random.permutation(jax.random.fold_in(now, 0), c)[: plan.cohort])
        here = jax.random.uniform(jax.random.fold_in(now, 1), (plan.cohort,)) >= plan.drop_out
        keys = jax.vmap(partial(jax.random.fold_in, jax.random.fold_in(now, 2)))(drawn)
        some = jax.tree.map(lambda x: x[drawn], (own, data, jnp.asarray(plan.steps)))
        update, new = jax.vmap(client, (None, 0, 0, 0, 0))(
            server, some[0], some[1], some[2] * here, keys
        )
        own = jax.tree.map(lambda all, mine: all.at[drawn].set(mine), own, new)
        server, info = server_step(algorithm, server, update)
        return (server, own), info

    def stretch(carry, numbers: Array):
        carry, info = jax.lax.scan(round, carry, numbers)
        return carry, (evaluate(*carry), info)

    state = (algorithm.init(variables, examples), start)
    numbers = jnp.arange(plan.rounds).reshape(-1, plan.every)
    (server, own), (history, info) = jax.lax.scan(stretch, state, numbers)
    info = jax.tree.map(lambda x: x.reshape(plan.rounds, *x.shape[2:]), info)
    return Outcome(server, own, history, info)
