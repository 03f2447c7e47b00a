"""Asynchronous buffered aggregation, FedBuff, in simulation: nobody waits for the slowest hospital.

Every client trains on the model it last received, at its own speed, and starts again as soon as it
has sent. The server aggregates whenever `size` updates have arrived; one that is s versions old
counts n_i / sqrt(1 + s).

References:
  Nguyen et al. (2022), https://arxiv.org/abs/2106.06639
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from fedbrain.training.in_memory import Clients, Outcome, Plan, make_client
from fedbrain.training.round import server_step
from fedbrain.types import Algorithm, ClientState, Key, PyTree, ServerState, Variables


class Waiting(NamedTuple):
    """What is under way."""

    received: ServerState  # [clients, ...]: the model each client trains on
    finish: Float[
        Array, " clients"
    ]  # when it will have sent, in units of the fastest client's round
    version: Int[Array, " clients"]  # of that model


def buffered(size: int, slowest: float = 4.0) -> Callable:
    """A simulation with a buffer, with the arguments of `simulate`.

    Args:
      size: updates that the server waits for.
      slowest: duration of the slowest client's round; the others are spread evenly from 1 to it.
    """
    if size < 1 or not slowest >= 1:
        raise ValueError(f"Expected size >= 1 and slowest >= 1, got {(size, slowest)}.")

    def simulate(
        algorithm: Algorithm,
        variables: Variables,
        data: Clients,
        plan: Plan,
        key: Key,
        *,
        evaluate: Callable[[ServerState, ClientState], PyTree],
    ) -> Outcome:
        c = data.mask.shape[0]
        client = make_client(algorithm, plan)
        duration = jnp.linspace(1.0, slowest, c)
        every = jax.tree.map(
            lambda x: jnp.broadcast_to(x, (c, *x.shape)), algorithm.init_client(variables)
        )
        server = algorithm.init(variables, data.mask.sum(1))
        spread = jax.tree.map(lambda x: jnp.broadcast_to(x, (c, *x.shape)), server)
        waiting = Waiting(spread, duration, jnp.zeros(c, jnp.int32))
        steps = jnp.asarray(plan.steps)

        def event(carry, number: Array):
            server, own, waiting = carry
            i = jnp.argmin(waiting.finish)
            mine = jax.tree.map(lambda x: x[i], (waiting.received, own, data, steps))
            update, new = client(*mine, jax.random.fold_in(key, number))
            old = jnp.sqrt(1.0 + server.round - waiting.version[i])
            update = update._replace(weight=update.weight / old)
            own = jax.tree.map(lambda all, one: all.at[i].set(one), own, new)
            received = jax.tree.map(lambda all, one: all.at[i].set(one), waiting.received, server)
            finish = waiting.finish.at[i].add(duration[i])
            return (
                server,
                own,
                Waiting(received, finish, waiting.version.at[i].set(server.round)),
            ), update

        def step(carry, numbers: Array):
            (server, own, waiting), updates = jax.lax.scan(event, carry, numbers)
            server, info = server_step(algorithm, server, updates)
            return (server, own, waiting), {"skipped": info["skipped"]}

        def stretch(carry, numbers: Array):
            carry, info = jax.lax.scan(step, carry, numbers)
            return carry, (evaluate(carry[0], carry[1]), info)

        numbers = jnp.arange(plan.rounds * size).reshape(-1, plan.every, size)
        (server, own, _), (history, info) = jax.lax.scan(stretch, (server, every, waiting), numbers)
        info = jax.tree.map(lambda x: x.reshape(plan.rounds, *x.shape[2:]), info)
        return Outcome(server, own, history, info)

    return simulate
