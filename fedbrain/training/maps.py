"""Maps of the local work over a cohort: one client after the other, side by side, or spread over
devices or processes.

All run the same guarded step over the same batches, so they differ only in the order of
floating-point sums. Where a client's volumes lie on the device, its batches are references to them
and its local epochs are one compiled loop.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import zip_longest
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec
from jaxtyping import Array

from fedbrain.training import local_steps
from fedbrain.training.processes import processes
from fedbrain.training.round import Client, Driver, Fetch, MapClients
from fedbrain.types import Batch, ClientState, LocalTrainer, PyTree, ServerState, Update

# (function, in_axes) -> the function with a leading clients axis, as `jax.vmap`
Lift = Callable[..., Callable]


def loop() -> Driver:
    """One client after the other: least memory.

    >>> from fedbrain.algorithms.quadratic import quadratic_algorithm, quadratic_batch
    >>> algorithm, variables = quadratic_algorithm(), {"params": {"w": jnp.zeros(1)}}
    >>> own = algorithm.init_client(variables)
    >>> amber = Client("amber", 1, own, jax.random.key(0), [quadratic_batch(4.0)])
    >>> map_clients = loop()(algorithm.local, lambda volumes, reference: reference)
    >>> server = algorithm.init(variables, jnp.ones(1))
    >>> updates, _ = map_clients(server, [amber], quadratic_batch())
    >>> updates.delta.tolist()
    [[2.0]]
    """
    return chunk(1)


def chunk(size: int) -> Driver:
    """`size` clients side by side under `vmap`, chunk after chunk.

    >>> chunk(0)
    Traceback (most recent call last):
    ValueError: Expected size=0 >= 1.
    """
    if size < 1:
        raise ValueError(f"Expected size={size} >= 1.")
    return partial(_mapped, width=lambda cohort: size, lift=jax.vmap if size > 1 else _single)


def vmap() -> Driver:
    """All clients of a cohort side by side.

    >>> from fedbrain.algorithms.quadratic import quadratic_algorithm, quadratic_batch
    >>> algorithm, variables = quadratic_algorithm(), {"params": {"w": jnp.zeros(1)}}
    >>> own, batches = algorithm.init_client(variables), [quadratic_batch(4.0)]
    >>> cohort = [Client(name, 1, own, jax.random.key(0), batches) for name in ("amber", "birch")]
    >>> map_clients = vmap()(algorithm.local, lambda volumes, reference: reference)
    >>> server = algorithm.init(variables, jnp.ones(2))
    >>> updates, _ = map_clients(server, cohort, quadratic_batch())
    >>> updates.delta.tolist()
    [[2.0], [2.0]]
    """
    return partial(_mapped, width=lambda cohort: cohort, lift=jax.vmap)


def shard(devices: int) -> Driver:
    """All clients side by side, spread over `devices`; a device vmaps over its share.

    >>> shard(devices=1000)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: Expected devices=1000 <= ... available.
    """
    own = jax.local_devices()
    if devices > len(own):
        raise ValueError(f"Expected devices={devices} <= {len(own)} available.")
    auto = (jax.sharding.AxisType.Auto,)
    mesh = jax.make_mesh((devices,), ("clients",), axis_types=auto, devices=own[:devices])

    return partial(
        _mapped, width=lambda cohort: -(-cohort // devices) * devices, lift=side_by_side_on(mesh)
    )


def side_by_side_on(mesh: jax.sharding.Mesh) -> Lift:
    """Maps over clients that are spread over devices; a device vmaps over its share.

    Args:
      mesh: with the axis `clients`.

    >>> mesh = jax.sharding.Mesh(jax.local_devices()[:1], ("clients",))
    >>> side_by_side_on(mesh)(jnp.sum)(jnp.ones((3, 2))).tolist()
    [2.0, 2.0, 2.0]
    """

    def lift(f: Callable, in_axes: Any = 0) -> Callable:
        spec = PartitionSpec("clients")
        in_specs: Any = spec
        if isinstance(in_axes, tuple):
            in_specs = tuple(PartitionSpec() if axis is None else spec for axis in in_axes)
        return jax.shard_map(
            jax.vmap(f, in_axes), mesh=mesh, in_specs=in_specs, out_specs=spec, check_vma=False
        )

    return lift


LOCAL_DRIVERS = {"loop": loop, "chunk": chunk, "vmap": vmap, "shard": shard}
DRIVERS = LOCAL_DRIVERS | {"processes": processes}


class Programs(NamedTuple):
    """The compiled parts of a client's round, each over a leading clients axis."""

    begin: Callable  # (broadcast, client states, keys, batch) -> progress
    step: Callable  # (progress, batch) -> progress
    epoch: Callable  # (progress, volumes, references [clients, steps, ...]) -> progress
    end: Callable  # (broadcast, client states, progress, examples) -> (update, client states)


def _compiled(trainer: LocalTrainer, fetch: Fetch, lift: Lift) -> Programs:
    def epoch(progress: local_steps.Progress, volumes: Array, references: Batch):
        def step(carry: PyTree, reference: Batch):
            return trainer.step(carry, fetch(volumes, reference))

        return local_steps.scan(local_steps.guard(step), progress, references)

    return Programs(
        begin=jax.jit(lift(partial(local_steps.begin, trainer), in_axes=(None, 0, 0, 0))),
        step=jax.jit(lift(local_steps.guard(trainer.step)), donate_argnums=0),
        epoch=jax.jit(lift(epoch), donate_argnums=0),
        end=jax.jit(lift(partial(local_steps.end, trainer), in_axes=(None, 0, 0, 0))),
    )


def _mapped(
    trainer: LocalTrainer, fetch: Fetch, *, width: Callable[[int], int], lift: Lift
) -> MapClients:
    return partial(_map_clients, _compiled(trainer, fetch, lift), width)


def _map_clients(
    programs: Programs,
    width: Callable[[int], int],
    broadcast: ServerState,
    cohort: Sequence[Client],
    example: Batch,
) -> tuple[Update, list[ClientState]]:
    padding = jax.tree.map(np.zeros_like, example)
    updates: list[Update] = []
    states: list[ClientState] = []
    size = width(len(cohort))
    for first in range(0, len(cohort), size):
        members = list(cohort[first : first + size])
        absent = members[0]._replace(examples=0, batches=())
        group = members + [absent] * (size - len(members))
        state = _stack([client.state for client in group])
        keys = jnp.stack([client.key for client in group])
        progress = programs.begin(broadcast, state, keys, _stack([padding] * size))
        progress = _train(programs, progress, group, padding)
        examples = jnp.array([client.examples for client in group], jnp.float32)
        update, state = programs.end(broadcast, state, progress, examples)
        updates.append(_at(update, slice(len(members))))
        states += [_at(state, i) for i in range(len(members))]
    return jax.tree.map(lambda *x: jnp.concatenate(x), *updates), states


def _train(
    programs: Programs, progress: local_steps.Progress, group: Sequence[Client], padding: Batch
) -> local_steps.Progress:
    if group[0].volumes is None:
        batches = _side_by_side([client.batches for client in group], padding)
        return local_steps.stream(programs.step, progress, batches)
    references = [list(client.batches) for client in group]
    first = next((r[0] for r in references if r), None)
    if first is None:
        return progress
    steps = _side_by_side(references, jax.tree.map(np.zeros_like, first))
    stacked = jax.tree.map(lambda *x: np.stack(x, axis=1), *steps)  # [clients, steps, ...]
    return programs.epoch(progress, _stack([client.volumes for client in group]), stacked)


def _single(f: Callable, in_axes: Any = 0) -> Callable:
    """Like vmap over an axis of length 1, without a batched convolution."""

    def call(*args):
        axes = in_axes if isinstance(in_axes, tuple) else (in_axes,) * len(args)
        args = [a if ax is None else jax.tree.map(lambda x: x[0], a) for a, ax in zip(args, axes)]
        return jax.tree.map(lambda x: x[None], f(*args))

    return call


def _stack(trees: Sequence[PyTree]) -> PyTree:
    return jax.tree.map(
        lambda *x: np.stack(x) if isinstance(x[0], np.ndarray) else jnp.stack(x), *trees
    )


def _at(tree: PyTree, index: int | slice) -> PyTree:
    return jax.tree.map(lambda x: x[index], tree)


def _side_by_side(batches: Sequence[Iterable[Batch]], padding: Batch) -> Iterator[Batch]:
    for group in zip_longest(*batches, fillvalue=padding):
        yield _stack(group)
