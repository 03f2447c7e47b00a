"""Compiles a training step for an accelerator that is not there, and says what the step needs."""

import re
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec, SingleDeviceSharding

from fedbrain.training import local_steps
from fedbrain.training.meshes import make_mesh, on_clients, on_examples, side_by_side_on
from fedbrain.training.outline import outline
from fedbrain.types import Algorithm, Batch, PyTree, Variables

# without a device nothing can be timed, so nothing is chosen by time
UNTIMED: dict[str, Any] = {"xla_gpu_autotune_level": 0, "xla_gpu_enable_triton_gemm": False}
# as the TPU's compiler refuses a program
TOO_MUCH = r"required for HLO temporaries \(([\d.]+)([GM])\) exceeds available HBM"


class Needs(NamedTuple):
    """What a compiled step needs of one device; a lower bound where a library allocates more."""

    bytes: int
    seconds: float  # of compiling


def step_needs(
    algorithm: Algorithm,
    variables: Variables,
    batch: Batch,
    devices: Sequence[Any],
    *,
    share: int = 1,
) -> Needs:
    """Compiles the local step of one client a device, or a group of devices.

    Args:
      algorithm: whose step it is.
      variables: arrays or outlines.
      batch: of one client.
      devices: of one process; several hold a client each, as under `shard`.
      share: devices that share the batch of a client.

    >>> from fedbrain.algorithms.quadratic import quadratic_algorithm, quadratic_batch
    >>> variables = {"params": {"w": np.zeros(1, np.float32)}}
    >>> here = jax.local_devices()[:1]
    >>> step_needs(quadratic_algorithm(), variables, quadratic_batch(), here).bytes > 4
    True
    """
    clients = len(devices) // share
    start = outline(algorithm, variables, batch, clients=clients).start
    step = local_steps.guard(algorithm.local.step)
    if len(devices) == 1:
        here = SingleDeviceSharding(devices[0])
        arguments = [_outlines(tree, here) for tree in (start, dict(batch))]
        return compiled_needs(jax.jit(step, donate_argnums=0), arguments, devices[0])
    mesh = make_mesh(devices, share)
    arguments = [
        _outlines(tree, place, clients)
        for tree, place in ((start, on_clients(mesh)), (dict(batch), on_examples(mesh)))
    ]
    lifted = side_by_side_on(mesh)(step)
    program = jax.jit(lifted, donate_argnums=0, out_shardings=on_clients(mesh))
    return compiled_needs(program, arguments, devices[0])


def gather_needs(sent: int, processes: Sequence[Sequence[Any]]) -> Needs:
    """Compiles the exchange of bytes between processes.

    Args:
      sent: bytes of each process.
      processes: the devices of each.

    >>> gather_needs(100, [jax.local_devices()[:1]]).bytes >= 100
    True
    """
    mesh = Mesh(np.array(processes), ("processes", "devices"))
    bytes = jax.ShapeDtypeStruct(
        (len(processes), sent), np.uint8, sharding=NamedSharding(mesh, PartitionSpec("processes"))
    )
    program = jax.jit(lambda x: x, out_shardings=NamedSharding(mesh, PartitionSpec()))
    return compiled_needs(program, [bytes], processes[0][0])


def compiled_needs(program: Callable, arguments: Sequence[PyTree], device: Any) -> Needs:
    """What a program needs of one device.

    Args:
      program: jitted.
      arguments: outlines with their places.
      device: that it is compiled for, perhaps one that is not there.

    >>> here = jax.local_devices()[0]
    >>> compiled_needs(jax.jit(lambda x: x + 1), [np.zeros(4, np.float32)], here).bytes >= 32
    True
    """
    lowered: Any = program.lower(*arguments)  # pyright: ignore[reportFunctionMemberAccess]
    began = time.monotonic()
    is_described_gpu = device.platform in ("gpu", "cuda") and device not in jax.local_devices()
    try:
        compiled = lowered.compile(UNTIMED if is_described_gpu else None)
    except jax.errors.JaxRuntimeError as error:
        short = bytes_refused(str(error))
        if not short:
            raise
        return Needs(short, time.monotonic() - began)
    memory = compiled.memory_analysis()
    arguments_and_results = (
        memory.argument_size_in_bytes + memory.output_size_in_bytes - memory.alias_size_in_bytes
    )
    used = arguments_and_results + memory.temp_size_in_bytes
    return Needs(used, time.monotonic() - began)


def bytes_refused(message: str) -> int:
    """How much memory a program needs that the TPU's compiler refused; 0 for another message.

    Args:
      message: of the error.

    >>> bytes_refused("required for HLO temporaries (33.5G) exceeds available HBM") / 2**30
    33.5
    """
    found = re.search(TOO_MUCH, message)
    return int(float(found[1]) * 2 ** (30 if found[2] == "G" else 20)) if found else 0


def _outlines(tree: PyTree, place: Any, clients: int = 0) -> PyTree:
    lead = (clients,) if clients else ()
    return jax.tree.map(
        lambda x: jax.ShapeDtypeStruct((*lead, *x.shape), x.dtype, sharding=place), tree
    )
