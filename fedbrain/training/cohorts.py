"""The local work of a cohort, compiled: groups of clients of one width, one after the other.

Where a client's volumes lie on the device, its batches are references to them and its local epochs
are one compiled loop.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import zip_longest
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array

from fedbrain.training import local_steps
from fedbrain.training.meshes import Lift, on_clients, on_examples, spread
from fedbrain.training.round import Client, Fetch, MapClients
from fedbrain.types import Batch, ClientState, LocalTrainer, PyTree, ServerState, Update


class Layout(NamedTuple):
    """How clients stand side by side."""

    width: Callable[[int], int]  # clients of a cohort -> how many at a time
    lift: Lift
    mesh: Mesh | None = None  # of several devices, as `meshes.make_mesh`


class Programs(NamedTuple):
    """The compiled parts of a client's round, each over a leading clients axis."""

    begin: Callable  # (broadcast, client states, keys, batch) -> progress
    step: Callable  # (progress, batch) -> progress
    epoch: Callable  # (progress, volumes, references [clients, steps, ...]) -> progress
    end: Callable  # (broadcast, client states, progress, examples) -> (update, client states)


def _compiled(trainer: LocalTrainer, fetch: Fetch, layout: Layout) -> Programs:
    lift, mesh = layout.lift, layout.mesh
    jit = partial(jax.jit, out_shardings=on_clients(mesh)) if mesh else jax.jit

    def epoch(progress: local_steps.Progress, volumes: Array, references: Batch):
        def step(carry: PyTree, reference: Batch):
            return trainer.step(carry, spread(fetch(volumes, reference)))

        return local_steps.scan(local_steps.guard(step), progress, references)

    return Programs(
        begin=jit(lift(partial(local_steps.begin, trainer), in_axes=(None, 0, 0, 0))),
        step=jit(lift(local_steps.guard(trainer.step)), donate_argnums=0),
        epoch=jit(lift(epoch), donate_argnums=0),
        end=jit(lift(partial(local_steps.end, trainer), in_axes=(None, 0, 0, 0))),
    )


def mapped(layout: Layout, trainer: LocalTrainer, fetch: Fetch) -> MapClients:
    """Compiles the local work of cohorts.

    Args:
      layout: how clients stand side by side.
      trainer: of the algorithm.
      fetch: reads batches from volumes on the device.

    >>> from fedbrain.algorithms.quadratic import quadratic_algorithm, quadratic_batch
    >>> algorithm, variables = quadratic_algorithm(), {"params": {"w": jnp.zeros(1)}}
    >>> own, batches = algorithm.init_client(variables), [quadratic_batch(4.0)]
    >>> cohort = [Client(name, 1, own, jax.random.key(0), batches) for name in ("amber", "birch")]
    >>> layout = Layout(lambda cohort: 1, jax.vmap)
    >>> map_clients = mapped(layout, algorithm.local, lambda volumes, reference: reference)
    >>> server = algorithm.init(variables, jnp.ones(2))
    >>> updates, _ = map_clients(server, cohort, quadratic_batch())
    >>> updates.delta.tolist()
    [[2.0], [2.0]]
    """
    return partial(_map_clients, layout, _compiled(trainer, fetch, layout))


def _map_clients(
    layout: Layout,
    programs: Programs,
    broadcast: ServerState,
    cohort: Sequence[Client],
    example: Batch,
) -> tuple[Update, list[ClientState]]:
    padding = jax.tree.map(np.zeros_like, example)
    updates: list[Update] = []
    states: list[ClientState] = []
    size = layout.width(len(cohort))
    for first in range(0, len(cohort), size):
        members = list(cohort[first : first + size])
        absent = members[0]._replace(examples=0, batches=())
        group = members + [absent] * (size - len(members))
        state = _stack([client.state for client in group])
        keys = jnp.stack([client.key for client in group])
        progress = programs.begin(broadcast, state, keys, _stack([padding] * size))
        progress = _train(layout.mesh, programs, progress, group, padding)
        examples = jnp.array([client.examples for client in group], jnp.float32)
        update, state = programs.end(broadcast, state, progress, examples)
        updates.append(_at(update, slice(len(members))))
        states += [_at(state, i) for i in range(len(members))]
    return jax.tree.map(lambda *x: jnp.concatenate(x), *updates), states


def _train(
    mesh: Mesh | None,
    programs: Programs,
    progress: local_steps.Progress,
    group: Sequence[Client],
    padding: Batch,
) -> local_steps.Progress:
    if group[0].volumes is None:
        batches = _side_by_side([client.batches for client in group], padding)
        placed = (_placed(batch, mesh, axis=1) for batch in batches)
        return local_steps.stream(programs.step, progress, placed)
    references = [list(client.batches) for client in group]
    first = next((r[0] for r in references if r), None)
    if first is None:
        return progress
    steps = _side_by_side(references, jax.tree.map(np.zeros_like, first))
    stacked = jax.tree.map(lambda *x: np.stack(x, axis=1), *steps)  # [clients, steps, ...]
    volumes = _stack([client.volumes for client in group])
    return programs.epoch(progress, volumes, _placed(stacked, mesh, axis=2))


def _placed(batch: Batch, mesh: Mesh | None, *, axis: int) -> Batch:
    """A group's batches, or references, [clients, ... b ...], whose examples are along an axis."""
    return jax.device_put(batch, on_examples(mesh, axis=axis)) if mesh else batch


def _stack(trees: Sequence[PyTree]) -> PyTree:
    return jax.tree.map(
        lambda *x: np.stack(x) if isinstance(x[0], np.ndarray) else jnp.stack(x), *trees
    )


def _at(tree: PyTree, index: int | slice) -> PyTree:
    return jax.tree.map(lambda x: x[index], tree)


def _side_by_side(batches: Sequence[Iterable[Batch]], padding: Batch) -> Iterator[Batch]:
    for group in zip_longest(*batches, fillvalue=padding):
        yield _stack(group)
