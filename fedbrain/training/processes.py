"""A map over processes: each maps its own clients, on its own devices."""

from collections.abc import Sequence
from functools import partial

import jax
import numpy as np

from fedbrain.processes import peers
from fedbrain.training.round import Client, Driver, MapClients
from fedbrain.types import Batch, ClientState, PyTree, ServerState, Update


def processes(inner: Driver) -> Driver:
    """Every process maps its own clients by `inner`; what they send is gathered to all.

    Between two gatherings processes run freely: clients may differ in steps, and no step waits for
    another one. Every process then has the cohort that one process would have, bit for bit.

    Args:
      inner: a map for one process.

    >>> import jax.numpy as jnp
    >>> from fedbrain.algorithms.quadratic import quadratic_algorithm, quadratic_batch
    >>> from fedbrain.training.maps import loop
    >>> algorithm, variables = quadratic_algorithm(), {"params": {"w": jnp.zeros(1)}}
    >>> own = algorithm.init_client(variables)
    >>> amber = Client("amber", 1, own, jax.random.key(0), [quadratic_batch(4.0)])
    >>> map_clients = processes(loop())(algorithm.local, lambda volumes, reference: reference)
    >>> updates, _ = map_clients(algorithm.init(variables, jnp.ones(1)), [amber], quadratic_batch())
    >>> updates.delta.tolist()
    [[2.0]]
    """

    return Driver(lambda trainer, fetch: partial(_map_clients, inner(trainer, fetch)), inner.mesh)


def _map_clients(
    map_own: MapClients, broadcast: ServerState, cohort: Sequence[Client], example: Batch
) -> tuple[Update, list[ClientState]]:
    if peers.count() == 1:
        return map_own(broadcast, cohort, example)
    places = [
        [i for i, client in enumerate(cohort) if client.process == process]
        for process in range(peers.count())
    ]
    absent = cohort[0]._replace(examples=0, batches=(), volumes=None)
    own = [cohort[i] for i in places[peers.index()]] or [absent]
    update, states = map_own(broadcast, own, example)
    sent = update, jax.tree.map(lambda *x: np.stack(x), *states)
    return _in_order(sent, places)


def _in_order(sent: PyTree, places: list[list[int]]) -> tuple[Update, list[ClientState]]:
    """What all clients sent, in the order of the cohort; `places` are those of each process."""
    width = max(map(len, places))

    def pad(x: jax.Array) -> np.ndarray:
        rows = np.asarray(x)
        return np.concatenate([rows, np.zeros((width - len(rows), *rows.shape[1:]), rows.dtype)])

    row = {i: p * width + k for p, own in enumerate(places) for k, i in enumerate(own)}
    order = [row[i] for i in range(len(row))]
    together = peers.gather(jax.tree.map(pad, sent))
    update, states = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:])[order], together)
    return update, [jax.tree.map(lambda x, i=i: x[i], states) for i in range(len(order))]
