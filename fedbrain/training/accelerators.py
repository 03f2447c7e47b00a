"""Accelerators that programs can be compiled for without one, by the facts of their data sheets.

XLA compiles for a described GPU (`jax[cuda12]` or `jax[cuda13]` has the compiler) and for a named
arrangement of TPU chips (`libtpu`). Neither needs the device.
"""

import os
from collections.abc import Sequence
from typing import Any, NamedTuple

from jax.experimental import topologies


class Gpu(NamedTuple):
    """What XLA asks about a GPU."""

    name: str
    capability: str  # of CUDA, as XLA writes it
    cores: int  # streaming multiprocessors
    lanes: int  # float32 units of one
    threads: int  # of one, at most
    shared_bytes: int  # memory that the threads of one share
    cache_bytes: int  # level 2
    clock_ghz: float
    bytes_per_second: float  # of its memory
    memory_bytes: int


class Tpu(NamedTuple):
    """A kind of TPU chip."""

    name: str
    generation: str  # as libtpu names it
    memory_bytes: int  # that programs may use


ACCELERATORS: dict[str, Gpu | Tpu] = {
    "h100": Gpu(
        "NVIDIA H100 80GB HBM3", "major: 9 feature_extension: ACCELERATED_FEATURES",
        132, 128, 2048, 233472, 52428800, 1.98, 3.352e12, 84942979072,
    ),
    "a100": Gpu(
        "NVIDIA A100-SXM4-80GB", "major: 8", 108, 64, 2048, 167936, 41943040, 1.41, 2.039e12,
        85100000000,
    ),
    "rtx4090": Gpu(
        "NVIDIA GeForce RTX 4090", "major: 8 minor: 9", 128, 128, 1536, 102400, 75497472, 2.52,
        1.008e12, 25250000000,
    ),
    "v5e": Tpu("TPU v5e", "v5e", 63 * 2**28),
}  # fmt: skip

TARGET = """
gpu_device_info {{
  threads_per_block_limit: 1024
  threads_per_warp: 32
  shared_memory_per_block: 49152
  shared_memory_per_core: {gpu.shared_bytes}
  threads_per_core_limit: {gpu.threads}
  core_count: {gpu.cores}
  fpus_per_core: {gpu.lanes}
  block_dim_limit_x: 2147483647
  block_dim_limit_y: 65535
  block_dim_limit_z: 65535
  memory_bandwidth: {gpu.bytes_per_second:.0f}
  l2_cache_size: {gpu.cache_bytes}
  clock_rate_ghz: {gpu.clock_ghz}
  device_memory_size: {gpu.memory_bytes}
  shared_memory_per_block_optin: {optin}
  cuda_compute_capability {{ {gpu.capability} }}
  registers_per_core_limit: 65536
  registers_per_block_limit: 65536
  thread_dim_limit_x: 1024
  thread_dim_limit_y: 1024
  thread_dim_limit_z: 64
  device_vendor: "NVIDIA Corporation"
  device_address_bits: 64
  pcie_bandwidth: 34359738368
  name: "{gpu.name}"
  driver_version: "13.0.0"
  runtime_version: "12.9.0"
  compile_time_toolkit_version: "12.9.0"
  dnn_version: "9.28.0"
}}
platform_name: "CUDA"
dnn_version_info {{ major: 9 minor: 28 patch: 0 }}
runtime_version {{ major: 12 minor: 9 patch: 0 }}
device_description_str: "{gpu.name}"
"""


def describe(name: str, *, hosts: int = 1, devices: int = 1) -> Sequence[Any]:
    """Devices of hosts that are not there, in the order of hosts.

    Args:
      name: a row of `ACCELERATORS`.
      hosts: how many.
      devices: of each host. TPU v5e has four of a host at least.

    Raises:
      ValueError: when the compiler for this kind is not installed.

    >>> sorted(ACCELERATORS)
    ['a100', 'h100', 'rtx4090', 'v5e']
    >>> len(describe("h100", hosts=2, devices=4))  # doctest: +SKIP
    8
    """
    accelerator = ACCELERATORS[name]
    try:
        if isinstance(accelerator, Tpu):
            return _chips(accelerator, hosts)[: hosts * devices]
        optin = accelerator.shared_bytes - 1024
        target = TARGET.format(gpu=accelerator, optin=optin)
        shape = f"1x{hosts}x{devices}"
        return topologies.get_topology_desc(
            platform="cuda", topology_name=name, target_config=target, topology=shape
        ).devices
    except Exception as error:  # what is raised depends on what is missing
        extra = "tpu" if isinstance(accelerator, Tpu) else "cuda12"
        reason = (str(error).splitlines() or [""])[0]
        raise ValueError(
            f"{accelerator.name}: its compiler did not start; install it on Linux, in a clone of"
            f" fedbrain: pip install -e '.[{extra}]' -c constraints.txt. ({reason})"
        ) from None


def _chips(tpu: Tpu, hosts: int) -> Sequence[Any]:
    os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")  # there is no server of metadata to ask
    os.environ.setdefault("TPU_ACCELERATOR_TYPE", "v5litepod-4")
    os.environ.setdefault("TPU_WORKER_HOSTNAMES", "localhost")
    os.environ.setdefault("TPU_WORKER_ID", "0")
    named = f"{tpu.generation}:{2 * hosts}x2"
    return topologies.get_topology_desc(platform="tpu", topology_name=named).devices
