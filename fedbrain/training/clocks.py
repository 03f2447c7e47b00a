"""Clocks of a simulation: who trains on which model, and when the server takes its step.

`rounds`: a cohort is drawn, trains on the newest model, and the server waits for everybody.
`buffered`: nobody waits for the slowest hospital. Every client trains on the model it last
received, at its own speed, and starts again as soon as it has sent. The server steps whenever
`size` updates have arrived; one that is s versions old is divided by sqrt(1 + s), and its weight
stays n_i: a stale update moves the model less, also where it comes alone.
`in_turn`: `rounds`, in which clients take turns, in an order that is drawn once.
`power_of_choice`: `rounds`, whose cohort are those of some candidates on whom the model is worst.

References:
  Nguyen et al. (2022), FedBuff, https://arxiv.org/abs/2106.06639
  Cho et al. (2020), power of choice, https://arxiv.org/abs/2010.01243
"""

from functools import partial
from typing import NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from fedbrain.training.in_memory import ClientLoss, ClientRound, Clients, Plan
from fedbrain.types import PLACE, ClientState, Key, PyTree, ServerState, Update

TURNS = 0x5475726E  # folded into a key for the order of `in_turn`; no round has this number


class Work(NamedTuple):
    """What stays the same from step to step."""

    client: ClientRound
    data: Clients  # [clients, ...]
    steps: Int[Array, " clients"]  # local steps of each client
    plan: Plan
    key: Key  # of cohorts, drop-outs and batches
    loss: ClientLoss


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
    candidates: int | None = None  # among whom a cohort is chosen; None: among all


@runtime_checkable
class Draw(Protocol):
    """The cohort of a round."""

    def __call__(
        self, work: Work, server: ServerState, own: ClientState, key: Key, /
    ) -> Int[Array, " cohort"]:
        """Returns places in ascending order; the key is of this round's cohort."""
        ...


def rounds() -> Clock:
    """Round after round: the server waits for everybody who was drawn and comes.

    >>> rounds().start(None, 3)
    ()
    """
    return Clock(start=lambda server, clients: (), collect=partial(_collect_round, _evenly))


def _evenly(work: Work, server: ServerState, own: ClientState, key: Key) -> Int[Array, " cohort"]:
    """Without replacement, the server's own first."""
    del server, own
    drawn = jax.random.permutation(key, work.data.mask.shape[0])
    if work.plan.trusted:
        drawn = drawn[jnp.argsort(~jnp.isin(drawn, jnp.asarray(work.plan.trusted)))]
    return jnp.sort(drawn[: work.plan.cohort])


def in_turn() -> Clock:
    """Round after round, with the next clients in an order that is drawn before the first one.

    Who takes part when depends on nothing that happens, so that a private rule may count on it. The
    cohort divides the number of clients: everybody comes once in clients / cohort rounds.

    >>> in_turn().start(None, 3)
    ()
    """
    return Clock(start=lambda server, clients: (), collect=partial(_collect_round, _next_in_turn))


def _next_in_turn(
    work: Work, server: ServerState, own: ClientState, key: Key
) -> Int[Array, " cohort"]:
    del own, key  # one order for all rounds
    clients, cohort = work.data.mask.shape[0], work.plan.cohort
    order = jax.random.permutation(jax.random.fold_in(work.key, TURNS), clients)
    start = server.round * cohort % clients
    return jnp.sort(jax.lax.dynamic_slice_in_dim(order, start, cohort))


def power_of_choice(candidates: int) -> Clock:
    """Round after round, with those of some candidates on whom the global model's loss is largest.

    Candidates are drawn without replacement by their numbers of training examples. Their losses are
    of all these examples, told before anybody trains.

    Args:
      candidates: d, as many as the cohort or more; as many are the cohort drawn by examples.

    >>> power_of_choice(candidates=4).candidates
    4
    """
    if candidates < 1:
        raise ValueError(f"Expected candidates={candidates} >= 1.")
    collect = partial(_collect_round, partial(_largest_losses, candidates))
    return Clock(lambda server, clients: (), collect, candidates)


def _largest_losses(
    candidates: int, work: Work, server: ServerState, own: ClientState, key: Key
) -> Int[Array, " cohort"]:
    examples = work.data.mask.sum(1)
    own_first = jnp.isin(jnp.arange(len(examples)), jnp.asarray(work.plan.trusted, jnp.int32))
    by_lot, rest = jax.random.split(key)
    # the largest of log n_k plus Gumbel noise are a draw without replacement by n_k
    lot = jnp.log(examples) + jax.random.gumbel(by_lot, examples.shape)
    some = jnp.argsort(-jnp.where(own_first, jnp.inf, lot))[:candidates]
    states, data = jax.tree.map(lambda x: x[some], (own, work.data))
    keys = jax.random.split(rest, len(some))
    losses = jax.vmap(work.loss, (None, 0, 0, 0))(server, states, data, keys)
    worst = jnp.argsort(-jnp.where(own_first[some], jnp.inf, losses))
    return jnp.sort(some[worst[: work.plan.cohort]])


def _collect_round(
    draw: Draw, work: Work, server: ServerState, own: ClientState, memory: tuple, step: Array
) -> tuple[Update, ClientState, tuple]:
    plan = work.plan
    now = jax.random.fold_in(work.key, step)
    drawn = draw(work, server, own, jax.random.fold_in(now, 0))
    trusted = jnp.isin(drawn, jnp.asarray(plan.trusted, jnp.int32))
    here = jax.random.uniform(jax.random.fold_in(now, 1), (plan.cohort,)) >= plan.drop_out
    here = here | trusted
    keys = jax.vmap(partial(jax.random.fold_in, jax.random.fold_in(now, 2)))(drawn)
    states, examples, steps = jax.tree.map(lambda x: x[drawn], (own, work.data, work.steps))
    updates, new = jax.vmap(work.client, (None, 0, 0, 0, 0))(
        server, states, examples, steps * here, keys
    )
    known = {PLACE: drawn, "trusted": trusted.astype(jnp.float32)}
    updates = updates._replace(metrics={**updates.metrics, **known})
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


CLOCKS = {
    "rounds": rounds,
    "in_turn": in_turn,
    "buffered": buffered,
    "power_of_choice": power_of_choice,
}
