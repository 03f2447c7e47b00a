"""Clocks of a simulation: who trains on which model, and when the server takes its step.

`rounds`: a cohort is drawn, trains on the newest model, and the server waits for everybody.
`buffered`: nobody waits for the slowest hospital. Every client trains on the model it last
received, at its own speed, and starts again as soon as it has sent. The server steps whenever
`size` updates have arrived; one that is s versions old is divided by sqrt(1 + s), and its weight
stays n_i: a stale update moves the model less, also where it comes alone.

References:
  Nguyen et al. (2022), FedBuff, https://arxiv.org/abs/2106.06639
"""

from functools import partial
from typing import NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from fedbrain.training.in_memory import ClientRound, Clients, Plan
from fedbrain.types import PLACE, ClientState, Key, PyTree, ServerState, Update


class Work(NamedTuple):
    """What stays the same from step to step."""

    client: ClientRound
    data: Clients  # [clients, ...]
    steps: Int[Array, " clients"]  # local steps of each client
    plan: Plan
    key: Key  # of cohorts, drop-outs and batches


@runtime_checkable
class StartClock(Protocol):
    """The clock's memory before the first step."""

    def __call__(self, server: ServerState, clients: int, /) -> PyTree:
        """Takes the initial state, and how many clients there are."""
        ...


@runtime_checkable
class Collect(Protocol):
    """The updates of the server's next step."""

    def __call__(
        self, work: Work, server: ServerState, own: ClientState, memory: PyTree, step: Array, /
    ) -> tuple[Update, ClientState, PyTree]:
        """Returns updates with a leading axis, all clients' states, and the clock's memory; `step`
        counts the server's steps.
        """
        ...


class Clock(NamedTuple):
    """A row of `CLOCKS`, called."""

    start: StartClock
    collect: Collect


def rounds() -> Clock:
    """Round after round: the server waits for everybody who was drawn and comes.

    >>> rounds().start(None, 3)
    ()
    """
    return Clock(start=lambda server, clients: (), collect=_collect_round)


def _collect_round(
    work: Work, server: ServerState, own: ClientState, memory: tuple, step: Array
) -> tuple[Update, ClientState, tuple]:
    plan, clients = work.plan, work.data.mask.shape[0]
    now = jax.random.fold_in(work.key, step)
    drawn = jnp.sort(jax.random.permutation(jax.random.fold_in(now, 0), clients)[: plan.cohort])
    here = jax.random.uniform(jax.random.fold_in(now, 1), (plan.cohort,)) >= plan.drop_out
    keys = jax.vmap(partial(jax.random.fold_in, jax.random.fold_in(now, 2)))(drawn)
    states, examples, steps = jax.tree.map(lambda x: x[drawn], (own, work.data, work.steps))
    updates, new = jax.vmap(work.client, (None, 0, 0, 0, 0))(
        server, states, examples, steps * here, keys
    )
    updates = updates._replace(metrics={**updates.metrics, PLACE: drawn})
    own = jax.tree.map(lambda every, some: every.at[drawn].set(some), own, new)
    return updates, own, memory


class Waiting(NamedTuple):
    """What is under way in a buffered simulation."""

    received: ServerState  # [clients, ...]: the model each client trains on
    finish: Float[Array, " clients"]  # when it will have sent; 1 = the fastest client's round
    version: Int[Array, " clients"]  # of that model: rounds completed


def buffered(size: int, slowest: float = 4.0) -> Clock:
    """The server steps on every `size` updates.

    Args:
      size: updates that the server waits for.
      slowest: duration of the slowest client's round; the others are spread evenly from 1 to it.

    >>> from fedbrain.algorithms.quadratic import quadratic_algorithm
    >>> server = quadratic_algorithm().init({"params": {"w": jnp.zeros(1)}}, jnp.ones(5))
    >>> buffered(size=2).start(server, 5).finish.tolist()
    [1.0, 1.75, 2.5, 3.25, 4.0]
    """
    if size < 1 or not slowest >= 1:
        raise ValueError(f"Expected size >= 1 and slowest >= 1, got {(size, slowest)}.")

    def start(server: ServerState, clients: int) -> Waiting:
        received = jax.tree.map(lambda x: jnp.broadcast_to(x, (clients, *x.shape)), server)
        duration = jnp.linspace(1.0, slowest, clients)
        return Waiting(received, duration, jnp.zeros(clients, jnp.int32))

    def collect(
        work: Work, server: ServerState, own: ClientState, waiting: Waiting, step: Array
    ) -> tuple[Update, ClientState, Waiting]:
        duration = jnp.linspace(1.0, slowest, work.data.mask.shape[0])
        arrive = partial(_next_arrival, work, duration, server)
        (own, waiting), updates = jax.lax.scan(
            arrive, (own, waiting), step * size + jnp.arange(size)
        )
        return updates, own, waiting

    return Clock(start, collect)


def _next_arrival(
    work: Work,
    duration: Float[Array, " clients"],
    server: ServerState,
    carry: tuple[ClientState, Waiting],
    number: Int[Array, ""],
) -> tuple[tuple[ClientState, Waiting], Update]:
    """The client that finishes first sends its update and starts again on the newest model."""
    own, waiting = carry
    i = jnp.argmin(waiting.finish)
    received, state, examples, steps = jax.tree.map(
        lambda x: x[i], (waiting.received, own, work.data, work.steps)
    )
    key = jax.random.fold_in(work.key, number)
    update, new = work.client(received, state, examples, steps, key)
    staleness = jnp.sqrt(1.0 + server.round - waiting.version[i])
    own = jax.tree.map(lambda every, one: every.at[i].set(one), own, new)
    waiting = Waiting(
        received=jax.tree.map(lambda every, x: every.at[i].set(x), waiting.received, server),
        finish=waiting.finish.at[i].add(duration[i]),
        version=waiting.version.at[i].set(server.round),
    )
    told = {**update.metrics, PLACE: i}
    return (own, waiting), update._replace(delta=update.delta / staleness, metrics=told)


CLOCKS = {"rounds": rounds, "buffered": buffered}
