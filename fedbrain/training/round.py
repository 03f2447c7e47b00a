"""One round of federated learning: `apply(state, reduce(state, map(client_update)))`.

A driver maps the local trainer over a cohort: one client after the other (`loop`), k side by side
(`chunk`), all at once (`vmap`), or spread over devices (`shard`). All run the same guarded step
over the same batches, so they differ only in the order of floating-point sums. Between hospitals
the map is a network and everything else stays. Where a client's volumes lie on the device, its
batches are references to them and its local epochs are one compiled loop.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import zip_longest
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec
from jaxtyping import Array

from fedbrain.training import local_steps
from fedbrain.training.device_volumes import fetch
from fedbrain.types import (
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
    """One member of a round's cohort."""

    name: str
    examples: int  # training examples: the aggregation weight
    state: ClientState
    key: Key
    batches: Iterable[Batch]  # of one shape each; without a batch the client is absent
    volumes: Array | None = None  # on the device, [n d h w c]; then batches are references to them


MapClients = Callable[[ServerState, Sequence[Client], Batch], tuple[Update, list[ClientState]]]
Fetch = Callable[[Array, Batch], Batch]
Driver = Callable[[LocalTrainer, Fetch], MapClients]


def loop() -> Driver:
    """One client after the other: least memory."""
    return chunk(1)


def chunk(size: int) -> Driver:
    """`size` clients side by side under `vmap`, chunk after chunk."""
    if size < 1:
        raise ValueError(f"Expected size={size} >= 1.")
    return partial(_mapped, size=lambda cohort: size, lift=jax.vmap if size > 1 else _single)


def vmap() -> Driver:
    """All clients of a cohort side by side."""
    return partial(_mapped, size=lambda cohort: cohort, lift=jax.vmap)


def shard(devices: int) -> Driver:
    """All clients side by side, spread over `devices` by `shard_map`; a device vmaps over its
    share.
    """
    if devices > jax.device_count():
        raise ValueError(f"Expected devices={devices} <= {jax.device_count()} available.")
    mesh = jax.make_mesh((devices,), ("clients",), axis_types=(jax.sharding.AxisType.Auto,))

    def lift(f, in_axes=0):
        axes = in_axes if isinstance(in_axes, tuple) else None
        spec = PartitionSpec("clients")
        in_specs = (
            spec if axes is None else tuple(PartitionSpec() if a is None else spec for a in axes)
        )
        return jax.shard_map(
            jax.vmap(f, in_axes), mesh=mesh, in_specs=in_specs, out_specs=spec, check_vma=False
        )

    return partial(_mapped, size=lambda cohort: -(-cohort // devices) * devices, lift=lift)


DRIVERS = {"loop": loop, "chunk": chunk, "vmap": vmap, "shard": shard}


def _single(f, in_axes=0):
    """Like vmap over an axis of length 1, without a batched convolution."""

    def call(*args):
        axes = in_axes if isinstance(in_axes, tuple) else (in_axes,) * len(args)
        args = [a if ax is None else jax.tree.map(lambda x: x[0], a) for a, ax in zip(args, axes)]
        return jax.tree.map(lambda x: x[None], f(*args))

    return call


def _mapped(trainer: LocalTrainer, fetch: Fetch, *, size: Callable[[int], int], lift) -> MapClients:
    def epoch(
        progress: local_steps.Progress, volumes: Array, references: Batch
    ) -> local_steps.Progress:
        return local_steps.scan(
            local_steps.guard(lambda c, r: trainer.step(c, fetch(volumes, r))), progress, references
        )

    begin = jax.jit(lift(partial(local_steps.begin, trainer), in_axes=(None, 0, 0, 0)))
    step = jax.jit(lift(local_steps.guard(trainer.step)), donate_argnums=0)
    end = jax.jit(lift(partial(local_steps.end, trainer), in_axes=(None, 0, 0, 0)))
    epoch = jax.jit(lift(epoch), donate_argnums=0)

    def train(
        progress: local_steps.Progress, group: Sequence[Client], padding: Batch
    ) -> local_steps.Progress:
        if group[0].volumes is None:
            return local_steps.stream(
                step, progress, _side_by_side([c.batches for c in group], padding)
            )
        references = [list(client.batches) for client in group]
        first = next((r[0] for r in references if r), None)
        if first is None:
            return progress
        steps = _side_by_side(references, jax.tree.map(np.zeros_like, first))
        stacked = jax.tree.map(lambda *x: np.stack(x, axis=1), *steps)  # [clients, steps, ...]
        return epoch(progress, _stack([client.volumes for client in group]), stacked)

    def map_clients(
        broadcast: ServerState, cohort: Sequence[Client], example: Batch
    ) -> tuple[Update, list[ClientState]]:
        padding = jax.tree.map(np.zeros_like, example)
        updates: list[Update] = []
        states: list[ClientState] = []
        width = size(len(cohort))
        for first in range(0, len(cohort), width):
            members = list(cohort[first : first + width])
            absent = members[0]._replace(examples=0, batches=())
            group = members + [absent] * (width - len(members))
            state = _stack([client.state for client in group])
            keys = jnp.stack([client.key for client in group])
            progress = begin(broadcast, state, keys, _stack([padding] * width))
            progress = train(progress, group, padding)
            examples = jnp.array([client.examples for client in group], jnp.float32)
            update, state = end(broadcast, state, progress, examples)
            updates.append(_at(update, slice(len(members))))
            states += [_at(state, i) for i in range(len(members))]
        return jax.tree.map(lambda *x: jnp.concatenate(x), *updates), states

    return map_clients


def _stack(trees: Sequence):
    return jax.tree.map(
        lambda *x: np.stack(x) if isinstance(x[0], np.ndarray) else jnp.stack(x), *trees
    )


def _at(tree, index: int | slice):
    return jax.tree.map(lambda x: x[index], tree)


def _side_by_side(batches: Sequence[Iterable[Batch]], padding: Batch) -> Iterator[Batch]:
    for group in zip_longest(*batches, fillvalue=padding):
        yield _stack(group)


def server_step(
    algorithm: Algorithm, state: ServerState, updates: Update
) -> tuple[ServerState, Metrics]:
    """The server's part of a round: (the next state, metrics)."""
    return algorithm.apply(state, algorithm.reduce(state, updates))


def make_round(
    algorithm: Algorithm, driver: Driver, trusted: Sequence[str] = (), *, turns: bool = False
):
    """Composes a round.

    Args:
      algorithm: what is computed.
      driver: how it is mapped.
      trusted: names of clients that are the server's own, for rules that need one (`fltrust`).
      turns: whether changes of volumes on the device read between voxels.

    Returns:
      `run_round(state, cohort, example)` -> (state, client states in cohort order, metrics). The
      cohort is aggregated in the order of client names, so arrival order changes nothing; `example`
      is any batch of the right shapes.
    """
    map_clients = driver(algorithm.local, partial(fetch, turns=turns))
    step = jax.jit(partial(server_step, algorithm))

    def run_round(
        state: ServerState, cohort: Sequence[Client], example: Batch
    ) -> tuple[ServerState, list[ClientState], Metrics]:
        order = sorted(range(len(cohort)), key=lambda i: cohort[i].name)
        update, states = map_clients(state, [cohort[i] for i in order], example)
        marks = jnp.array([cohort[i].name in trusted for i in order], jnp.float32)
        update = update._replace(metrics={**update.metrics, "trusted": marks})
        state, info = step(state, update)
        rank = np.argsort(order)
        info = {**update.metrics, **info}
        info = {name: value[rank] if value.ndim else value for name, value in info.items()}
        return state, [states[r] for r in rank], info

    return run_round
