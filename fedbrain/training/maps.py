"""Maps of the local work over a cohort: one client after the other, side by side, or spread over
devices or processes.

All run the same guarded step over the same batches, so they differ only in the order of
floating-point sums.
"""

from functools import partial

import jax

from fedbrain.training.cohorts import Layout, mapped
from fedbrain.training.meshes import make_mesh, side_by_side_on, single
from fedbrain.training.processes import processes
from fedbrain.training.round import Driver


def loop() -> Driver:
    """One client after the other: least memory.

    >>> import jax.numpy as jnp
    >>> from fedbrain.algorithms.quadratic import quadratic_algorithm, quadratic_batch
    >>> from fedbrain.training.round import Client
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
    lift = jax.vmap if size > 1 else single
    return Driver(partial(mapped, Layout(lambda cohort: size, lift)))


def vmap() -> Driver:
    """All clients of a cohort side by side.

    >>> import jax.numpy as jnp
    >>> from fedbrain.algorithms.quadratic import quadratic_algorithm, quadratic_batch
    >>> from fedbrain.training.round import Client
    >>> algorithm, variables = quadratic_algorithm(), {"params": {"w": jnp.zeros(1)}}
    >>> own, batches = algorithm.init_client(variables), [quadratic_batch(4.0)]
    >>> cohort = [Client(name, 1, own, jax.random.key(0), batches) for name in ("amber", "birch")]
    >>> map_clients = vmap()(algorithm.local, lambda volumes, reference: reference)
    >>> server = algorithm.init(variables, jnp.ones(2))
    >>> updates, _ = map_clients(server, cohort, quadratic_batch())
    >>> updates.delta.tolist()
    [[2.0], [2.0]]
    """
    return Driver(partial(mapped, Layout(lambda cohort: cohort, jax.vmap)))


def shard(devices: int, batch: int = 1) -> Driver:
    """Clients spread over devices, or over groups of devices that share a client's batch.

    With `batch=1` all clients stand side by side; a device vmaps over its share. With more, every
    group of `batch` devices has one client at a time, whose batch statistics are those of the whole
    batch: for a client that is larger than a device.

    Args:
      devices: all of them.
      batch: devices of a group.

    >>> shard(devices=1000)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: Expected devices=1000 <= ... available.
    >>> shard(devices=4, batch=3)
    Traceback (most recent call last):
    ValueError: Expected batch=3 to divide devices=4: 1, 2 or 4.
    """
    if batch < 1 or devices % batch:
        fitting = [str(n) for n in range(1, devices + 1) if devices % n == 0]
        either = " or ".join(filter(None, (", ".join(fitting[:-1]), *fitting[-1:])))
        raise ValueError(f"Expected {batch=} to divide {devices=}: {either}.")
    own = jax.local_devices()
    if devices > len(own):
        raise ValueError(f"Expected devices={devices} <= {len(own)} available.")
    mesh = make_mesh(own[:devices], batch)
    groups = devices // batch

    def width(cohort: int) -> int:
        return groups if batch > 1 else -(-cohort // groups) * groups

    layout = Layout(width, side_by_side_on(mesh), mesh)
    return Driver(partial(mapped, layout), mesh if batch > 1 else None)


LOCAL_DRIVERS = {"loop": loop, "chunk": chunk, "vmap": vmap, "shard": shard}
DRIVERS = LOCAL_DRIVERS | {"processes": processes}
