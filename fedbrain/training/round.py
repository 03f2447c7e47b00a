"""One round of federated learning: `apply(state, reduce(state, map(client_update)))`.

`training.maps` holds the maps for one machine. Between hospitals the map is a network and
everything else stays.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array

from fedbrain.training.device_volumes import fetch
from fedbrain.types import (
    PLACE,
    Algorithm,
    Batch,
    ClientState,
    Key,
    LocalTrainer,
    Metrics,
    ServerState,
    Update,
)


class Client(NamedTuple):
    """A participant of a round."""

    name: str
    examples: int  # training examples: the aggregation weight
    state: ClientState
    key: Key
    batches: Iterable[Batch]  # of one shape each; without a batch the client is absent
    volumes: Array | None = None  # on the device, [n d h w c]; then batches are references to them
    process: int = 0  # that has its data, where several processes share the work
    place: int | None = None  # among all clients of the federation; None: it is not known


@runtime_checkable
class Fetch(Protocol):
    """From a reference to the batch that it means."""

    def __call__(self, volumes: Array, reference: Batch, /) -> Batch:
        """Takes a client's volumes [n d h w c] on the device."""
        ...


@runtime_checkable
class MapClients(Protocol):
    """The local work of a cohort, compiled."""

    def __call__(
        self, broadcast: ServerState, cohort: Sequence[Client], example: Batch, /
    ) -> tuple[Update, list[ClientState]]:
        """Returns the updates [clients, ...] and the new states, both in cohort order; `example` is
        any batch of the right shapes.
        """
        ...


class Driver(NamedTuple):
    """How local work is mapped over a cohort: what a row of `maps.DRIVERS` returns."""

    compile: Callable[[LocalTrainer, Fetch], MapClients]  # the map of a trainer
    mesh: Mesh | None = None  # where several devices share a batch, along its axis `batch`

    def __call__(self, trainer: LocalTrainer, fetch: Fetch, /) -> MapClients:
        """Compiles the map of a trainer."""
        return self.compile(trainer, fetch)

    @property
    def batch(self) -> int:
        """How many devices share a batch."""
        return self.mesh.shape["batch"] if self.mesh else 1


@runtime_checkable
class RunRound(Protocol):
    """A round, compiled."""

    def __call__(
        self, state: ServerState, cohort: Sequence[Client], example: Batch, /
    ) -> tuple[ServerState, list[ClientState], Metrics]:
        """Returns the next state, the clients' new states and the metrics, in cohort order;
        `example` is any batch of the right shapes.
        """
        ...


def server_step(
    algorithm: Algorithm, state: ServerState, updates: Update
) -> tuple[ServerState, Metrics]:
    """The server's part of a round: (the next state, metrics).

    >>> from fedbrain.algorithms.quadratic import quadratic_algorithm
    >>> variables, algorithm = {"params": {"w": jnp.zeros(1)}}, quadratic_algorithm()
    >>> updates = Update(jnp.array([[3.0], [1.0]]), {}, jnp.ones(2), {}, ())
    >>> state, _ = server_step(algorithm, algorithm.init(variables, jnp.ones(2)), updates)
    >>> state.params["w"].tolist()
    [2.0]
    """
    return algorithm.apply(state, algorithm.reduce(state, updates))


def known_of(cohort: Sequence[Client], trusted: Sequence[str]) -> Metrics:
    """What the server knows of the clients of a cohort: which are its own, and, where all places
    are known, the place of each.

    >>> key = jax.random.key(0)
    >>> cohort = [Client(name, 1, (), key, (), place=k) for k, name in enumerate("ab")]
    >>> {name: value.tolist() for name, value in known_of(cohort, ["b"]).items()}
    {'trusted': [0.0, 1.0], 'place': [0, 1]}
    """
    known = {"trusted": jnp.array([client.name in trusted for client in cohort], jnp.float32)}
    places = [client.place for client in cohort]
    if None not in places:
        known[PLACE] = jnp.asarray(places, jnp.int32)
    return known


def make_round(
    algorithm: Algorithm, driver: Driver, trusted: Sequence[str] = (), *, turns: bool = False
) -> RunRound:
    """Composes a round. The cohort is aggregated in the order of client names, so arrival order
    changes nothing.

    Args:
      algorithm: what is computed.
      driver: how it is mapped.
      trusted: names of clients that are the server's own, for rules that need one (`fltrust`).
      turns: whether changes of volumes on the device read between voxels.

    >>> from fedbrain.training.maps import loop
    >>> from fedbrain.algorithms.quadratic import quadratic_algorithm, quadratic_batch
    >>> variables, algorithm = {"params": {"w": jnp.zeros(1)}}, quadratic_algorithm()
    >>> own = algorithm.init_client(variables)
    >>> cohort = [Client(n, 1, own, jax.random.key(0), [quadratic_batch()] * 2) for n in ("a", "b")]
    >>> run_round = make_round(algorithm, loop())
    >>> state, _, _ = run_round(algorithm.init(variables, jnp.ones(2)), cohort, quadratic_batch())
    >>> state.params["w"].tolist()
    [3.0]
    """
    map_clients = driver(algorithm.local, partial(fetch, turns=turns))
    step = jax.jit(partial(server_step, algorithm))

    def run_round(
        state: ServerState, cohort: Sequence[Client], example: Batch
    ) -> tuple[ServerState, list[ClientState], Metrics]:
        order = sorted(range(len(cohort)), key=lambda i: cohort[i].name)
        ordered = [cohort[i] for i in order]
        updates, states = map_clients(state, ordered, example)
        updates = updates._replace(metrics={**updates.metrics, **known_of(ordered, trusted)})
        state, info = step(state, updates)
        rank = np.argsort(order)
        info = {**updates.metrics, **info}
        info = {name: value[rank] if value.ndim else value for name, value in info.items()}
        return state, [states[r] for r in rank], info

    return run_round
