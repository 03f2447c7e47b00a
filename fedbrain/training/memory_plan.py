"""Where volumes lie and how a cohort is mapped when the configuration leaves it open: chosen by
measured sizes, and printed.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax

from fedbrain.training.ahead_of_time import step_needs
from fedbrain.types import Algorithm, Batch, Variables

SHARE = 0.8  # of a device's memory that may be planned with: arbitrary


class Sizes(NamedTuple):
    """What a choice depends on."""

    platform: str  # "cpu", "gpu" or "tpu"
    devices: int
    clients: int  # of a round's cohort
    # one client's carry and the temporaries of its step; 0 where it is not needed
    client_bytes: int
    device_bytes: int  # memory of one device; 0 where it is not known


def choose_driver(
    sizes: Sizes, shared: Callable[[int], int] | None = None, *, examples: int = 1
) -> tuple[str, str]:
    """(spec of a driver, the reason in words).

    On a CPU clients come one after the other: side by side, every client's convolution would be a
    grouped one, which XLA computes slowly there. On accelerators as many clients stand side by side
    as memory holds (not measured on one yet); a client that one device does not hold is spread over
    as few as hold it.

    Args:
      sizes: of the step.
      shared: devices that share a batch -> bytes at each; asked only where one device is too small.
      examples: that they must divide: those of a batch, or of a part of one.

    >>> choose_driver(Sizes("gpu", devices=1, clients=3, client_bytes=2**30, device_bytes=2**34))[0]
    'vmap()'
    """
    platform, devices, clients, client_bytes, device_bytes = sizes
    if platform == "cpu":
        return "loop()", "on a CPU one client after the other is fastest"
    gib = f"{client_bytes / 2**30:.2f} GiB a client, {device_bytes / 2**30:.0f} GiB a device"
    fit = math.floor(SHARE * device_bytes / client_bytes) if client_bytes and device_bytes else 1
    if fit < 1:
        return _choose_share(sizes, shared, examples, gib)
    if devices > 1 and clients > 1 and fit * devices >= clients:
        return (
            f"shard(devices={min(devices, clients)})",
            f"{gib}: the cohort fits on {min(devices, clients)} devices",
        )
    if fit >= clients > 1:
        return "vmap()", f"{gib}: the cohort fits side by side"
    if fit > 1 and clients > 1:
        return f"chunk(size={fit})", f"{gib}: {fit} clients fit side by side"
    return "loop()", f"{gib}: one client fits at a time" if clients > 1 else "there is one client"


def _choose_share(
    sizes: Sizes, shared: Callable[[int], int] | None, examples: int, gib: str
) -> tuple[str, str]:
    """For a client that is larger than a device."""
    numbers = [n for n in range(2, sizes.devices + 1) if examples % n == 0]
    for batch in numbers:
        if shared and shared(batch) <= SHARE * sizes.device_bytes:
            groups = min(sizes.devices // batch, sizes.clients)
            spec = f"shard(devices={groups * batch}, batch={batch})"
            return spec, f"{gib}: a client fits on {batch} devices that share its batches"
    several = f", nor {numbers[-1]} that share its batches" if numbers else ""
    return "loop()", f"{gib}: one device does not hold a client{several}; see fedbrain plan"


def choose_residence(sizes: Sizes, volume_bytes: int) -> tuple[str, str]:
    """(spec of a residence, the reason in words).

    Args:
      sizes: of the step.
      volume_bytes: of all training volumes in bfloat16. A cohort's stand side by side in a second
        copy during a round.

    >>> choose_residence(Sizes("gpu", 1, 3, 2**30, 2**34), volume_bytes=2**30)[0]
    'resident()'
    """
    if sizes.platform == "cpu":
        return "streamed()", "on a CPU the device's memory is the host's"
    gib = (
        f"{volume_bytes / 2**30:.2f} GiB of volumes, {sizes.device_bytes / 2**30:.0f} GiB a device"
    )
    if 2 * volume_bytes + sizes.client_bytes <= SHARE * sizes.device_bytes:
        return "resident()", f"{gib}: they fit in bfloat16"
    return "streamed()", f"{gib}: they do not fit"


def measure(algorithm: Algorithm, variables: Variables, batch: Batch, clients: int) -> Sizes:
    """The sizes of a training step, by the compiler's account; on a CPU, where they decide nothing,
    nothing is compiled.

    >>> from fedbrain.algorithms.quadratic import quadratic_algorithm, quadratic_batch
    >>> variables = {"params": {"w": jax.numpy.zeros(1)}}
    >>> measure(quadratic_algorithm(), variables, quadratic_batch(), clients=3).clients
    3
    """
    devices = jax.local_devices()
    if devices[0].platform == "cpu":
        return Sizes("cpu", len(devices), clients, 0, 0)
    needs = step_needs(algorithm, variables, batch, devices[:1])
    limit = (devices[0].memory_stats() or {}).get("bytes_limit", 0)
    return Sizes(devices[0].platform, len(devices), clients, needs.bytes, limit)
