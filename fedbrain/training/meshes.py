"""Devices as a mesh `(clients, batch)`: groups of devices, whose members share a client's batch.

Over `clients` the map is manual: a group computes its clients and nothing else. Over `batch` the
compiler divides one program, so that sums over examples, those of batch statistics too, are sums
over all devices of the group.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

# (function, in_axes) -> the function with a leading clients axis, as `jax.vmap`
Lift = Callable[..., Callable]
Tree = TypeVar("Tree")


def make_mesh(devices: Sequence[Any], batch: int = 1) -> Mesh:
    """Groups of `batch` devices.

    Args:
      devices: neighbours share a batch.
      batch: a divisor of their number.

    >>> dict(make_mesh(jax.local_devices()[:1]).shape)
    {'clients': 1, 'batch': 1}
    """
    return Mesh(np.array(devices).reshape(-1, batch), ("clients", "batch"))


def on_clients(mesh: Mesh) -> NamedSharding:
    """Where arrays [clients, ...] lie: each client's at all devices of its group.

    >>> tuple(on_clients(make_mesh(jax.local_devices()[:1])).spec)
    ('clients',)
    """
    return NamedSharding(mesh, PartitionSpec("clients"))


def on_examples(mesh: Mesh, *, axis: int = 1) -> NamedSharding:
    """Where batches [clients, ..., b, ...] lie: a device of a group has its share of the examples.

    Args:
      mesh: of devices.
      axis: of the examples.

    >>> tuple(on_examples(make_mesh(jax.local_devices()[:1]), axis=2).spec)
    ('clients', None, 'batch')
    """
    return NamedSharding(mesh, PartitionSpec("clients", *(None,) * (axis - 1), "batch"))


def single(f: Callable, in_axes: Any = 0) -> Callable:
    """Like `jax.vmap` over an axis of length 1, without a batched convolution.

    >>> single(jax.numpy.sum)(jax.numpy.ones((1, 2))).tolist()
    [2.0]
    """

    def call(*args):
        axes = in_axes if isinstance(in_axes, tuple) else (in_axes,) * len(args)
        args = [a if ax is None else jax.tree.map(lambda x: x[0], a) for a, ax in zip(args, axes)]
        return jax.tree.map(lambda x: x[None], f(*args))

    return call


def side_by_side_on(mesh: Mesh) -> Lift:
    """Maps over clients that are spread over groups of devices.

    A device alone vmaps over its share of the clients. Devices that share a batch have one client:
    a vmapped convolution whose examples are spread by the compiler is not to be relied on.

    Args:
      mesh: of `make_mesh`.

    >>> side_by_side_on(make_mesh(jax.local_devices()[:1]))(jax.numpy.sum)(np.ones((3, 2))).tolist()
    [2.0, 2.0, 2.0]
    """
    shared = mesh.shape["batch"] > 1
    manual = {"clients"} if shared else set(mesh.axis_names)
    each = single if shared else jax.vmap

    def lift(f: Callable, in_axes: Any = 0) -> Callable:
        spec = PartitionSpec("clients")
        in_specs: Any = spec
        if isinstance(in_axes, tuple):
            in_specs = tuple(PartitionSpec() if axis is None else spec for axis in in_axes)
        place = partial(jax.shard_map, mesh=mesh, axis_names=manual, check_vma=False)
        return place(each(f, in_axes), in_specs=in_specs, out_specs=spec)

    return lift


def spread(batch: Tree, *, axis: int = 0) -> Tree:
    """Spreads examples over the devices that share a batch, inside a compiled map; elsewhere
    nothing is done.

    Args:
      batch: arrays with an axis of examples.
      axis: which one.

    >>> spread({"mask": np.ones(2)})
    {'mask': array([1., 1.])}
    """
    if "batch" not in jax.sharding.get_abstract_mesh().auto_axes:
        return batch
    spec = PartitionSpec(*(None,) * axis, "batch")
    return jax.tree.map(lambda x: jax.lax.with_sharding_constraint(x, spec), batch)
