"""Whole federations in one compiled loop, for small models on arrays in memory.

Everything is a function of a key, so that seeds, splits and hyperparameters can be mapped too.
"""

from functools import partial
from typing import NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from fedbrain.training.clocks import Clock, Work, rounds
from fedbrain.training.in_memory import Clients, Plan, make_client, make_loss
from fedbrain.training.round import server_step
from fedbrain.types import (
    Algorithm,
    Batch,
    ClientState,
    Key,
    Metrics,
    PyTree,
    ServerState,
    Update,
    Variables,
)  # fmt: skip

Carry = tuple[ServerState, ClientState, PyTree]  # server, clients [clients, ...], memory of a clock


class Outcome(NamedTuple):
    """What a simulation ends with."""

    server: ServerState
    clients: ClientState  # [clients, ...]
    history: PyTree  # of `evaluate`, [rounds // every, ...]
    metrics: Metrics  # of the rounds, [rounds, ...]


@runtime_checkable
class Evaluate(Protocol):
    """What is recorded every `plan.every` rounds."""

    def __call__(self, server: ServerState, own: ClientState, /) -> PyTree:
        """Takes the server's state and the clients' [clients, ...]; returns anything of one
        shape.
        """
        ...


@runtime_checkable
class Refine(Protocol):
    """What a server with examples of its own does after its step."""

    def __call__(
        self, before: ServerState, after: ServerState, updates: Update, batch: Batch, /
    ) -> ServerState:
        """Takes its states before and after the step, the cohort's updates, in which its own
        clients are absent, and their examples.
        """
        ...


def simulate(
    algorithm: Algorithm,
    variables: Variables,
    data: Clients,
    plan: Plan,
    key: Key,
    *,
    evaluate: Evaluate,
    clock: Clock = rounds(),  # noqa: B008  (pure functions)
    refine: Refine | None = None,
) -> Outcome:
    """Runs all rounds: the server's steps.

    Args:
      algorithm: what is computed.
      variables: the initial model, of every client too.
      data: training examples, [clients, ...].
      plan: how long, and who.
      key: of cohorts, drop-outs and batches.
      evaluate: what is recorded.
      clock: who trains when, and when the server takes its step.
      refine: what the server does after it; the updates of `plan.trusted` are then left out.

    >>> import numpy as np
    >>> from fedbrain.algorithms.quadratic import quadratic_algorithm
    >>> data = Clients(jnp.zeros((2, 1, 1)), jnp.array([[4.0], [0.0]]), jnp.ones((2, 1)))
    >>> plan = Plan(rounds=2, batch_size=1, steps=np.array([2, 2]), cohort=2, drop_out=0.0, every=1)
    >>> initial = {"params": {"w": jnp.zeros(1)}}
    >>> record = lambda server, own: server.params["w"][0]
    >>> algorithm, key = quadratic_algorithm(), jax.random.key(0)
    >>> simulate(algorithm, initial, data, plan, key, evaluate=record).history.tolist()
    [1.5, 1.875]
    """
    work = _work(algorithm, data, plan, key)
    stretch = partial(_stretch, partial(_step, algorithm, clock, work, refine), evaluate)
    start = _start(algorithm, clock, variables, data)
    steps = jnp.arange(plan.rounds).reshape(-1, plan.every)
    (server, own, _), (history, info) = jax.lax.scan(stretch, start, steps)
    info = jax.tree.map(lambda x: x.reshape(plan.rounds, *x.shape[2:]), info)
    return Outcome(server, own, history, info)


def _work(algorithm: Algorithm, data: Clients, plan: Plan, key: Key) -> Work:
    client, loss = make_client(algorithm, plan), make_loss(algorithm)
    return Work(client, data, jnp.asarray(plan.steps), plan, key, loss)


def _start(algorithm: Algorithm, clock: Clock, variables: Variables, data: Clients) -> Carry:
    clients = data.mask.shape[0]
    own = jax.tree.map(
        lambda x: jnp.broadcast_to(x, (clients, *x.shape)), algorithm.init_client(variables)
    )
    server = algorithm.init(variables, data.mask.sum(1))
    return server, own, clock.start(server, clients)


def _step(
    algorithm: Algorithm,
    clock: Clock,
    work: Work,
    refine: Refine | None,
    carry: Carry,
    number: Int[Array, ""],
) -> tuple[Carry, Metrics]:
    server, own, memory = carry
    updates, own, memory = clock.collect(work, server, own, memory, number)
    if refine is None:
        server, info = server_step(algorithm, server, updates)
        return (server, own, memory), info
    others = jnp.where(updates.metrics["trusted"] > 0, 0, updates.weight)
    updates = updates._replace(weight=others)
    after, info = server_step(algorithm, server, updates)
    trusted = jnp.asarray(work.plan.trusted)
    joined = (x[trusted].reshape(-1, *x.shape[2:]) for x in work.data)
    refined = refine(server, after, updates, Clients(*joined)._asdict())
    return (refined, own, memory), info


def _stretch(
    step: partial, evaluate: Evaluate, carry: Carry, numbers: Int[Array, " every"]
) -> tuple[Carry, tuple[PyTree, Metrics]]:
    carry, info = jax.lax.scan(step, carry, numbers)
    server, own, _ = carry
    return carry, (evaluate(server, own), info)
