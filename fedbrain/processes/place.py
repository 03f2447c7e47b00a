"""Where a process stands among those that a cluster, or flags, have started together."""

import re
import zlib
from collections.abc import Mapping
from typing import NamedTuple

PORTS = 40000, 20000  # first, number: of coordinators that share a host
OPEN_MPI = ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK")


class Place(NamedTuple):
    """Where this process stands among the others. Empty fields: the environment says so."""

    coordinator: str = ""  # HOST:PORT of process 0
    processes: int | None = None
    process: int | None = None  # from 0

    @property
    def given(self) -> bool:
        """Whether any field is."""
        return self != ("", None, None)


ALONE = Place()


def _number(environment: Mapping[str, str], *names: str) -> int | None:
    text = next((environment[name] for name in names if environment.get(name)), None)
    if text is None:
        return None
    if not text.isdigit():
        raise ValueError(f"{'/'.join(names)}: expected a number, got {text!r}.")
    return int(text)


def read_place(flags: Place, environment: Mapping[str, str]) -> Place | None:
    """Where this process stands, by flags, else by the environment; None: it is alone.

    A `Place` without a coordinator leaves the rest to JAX, which knows SLURM and Cloud TPU.

    Args:
      flags: of the command line.
      environment: variables of the process.

    Raises:
      ValueError: when something is missing.

    >>> read_place(Place(), {"SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "1"})
    Place(coordinator='', processes=4, process=1)
    >>> read_place(Place(), {}) is None
    True
    """
    address = flags.coordinator or environment.get("JAX_COORDINATOR_ADDRESS", "")
    size = flags.processes or _number(environment, "JAX_NUM_PROCESSES")
    rank = flags.process
    if rank is None:
        rank = _number(environment, "JAX_PROCESS_ID", "JOB_COMPLETION_INDEX")
    if flags.given or size:
        return _complete(Place(address, size, rank))
    for names in (("SLURM_STEP_NUM_TASKS", "SLURM_PROCID"), OPEN_MPI):
        size, rank = (_number(environment, name) for name in names)
        if size and size > 1 and rank is not None:
            open_mpi = names == OPEN_MPI
            return Place(address or (_mpi_address(environment) if open_mpi else ""), size, rank)
    workers = [name for name in environment.get("TPU_WORKER_HOSTNAMES", "").split(",") if name]
    if len(workers) > 1:
        return Place("", len(workers), _number(environment, "TPU_WORKER_ID"))
    return None


def _complete(place: Place) -> Place | None:
    if place.processes == 1:
        return None
    if not place.coordinator or place.processes is None or place.process is None:
        raise ValueError(
            "--coordinator, --processes, --process: expected all three, or"
            " JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID, got"
            f" {place.coordinator or 'none'}, {place.processes}, {place.process}."
        )
    if not re.fullmatch(r".+:\d+", place.coordinator):
        raise ValueError(f"--coordinator: expected HOST:PORT, got {place.coordinator!r}.")
    if not 0 <= place.process < place.processes:
        raise ValueError(
            f"--process: expected a number from 0 to {place.processes - 1}, got {place.process}."
        )
    return place


def _mpi_address(environment: Mapping[str, str]) -> str:
    """On one host any port will do; it must be the same for all, and another job's another one."""
    if environment.get("OMPI_COMM_WORLD_LOCAL_SIZE") != environment["OMPI_COMM_WORLD_SIZE"]:
        raise ValueError(
            "JAX_COORDINATOR_ADDRESS: expected HOST:PORT of the first host, since Open MPI started"
            " processes on several, got none. Add -x JAX_COORDINATOR_ADDRESS=HOST:PORT to mpirun."
        )
    job = environment.get("PMIX_NAMESPACE", "") + environment.get("OMPI_MCA_orte_hnp_uri", "")
    return f"localhost:{PORTS[0] + zlib.crc32(job.encode()) % PORTS[1]}"


def own_devices(environment: Mapping[str, str]) -> list[int] | None:
    """Which of the visible GPUs are this process's own; None: all of them.

    Where a scheduler shows each process its own GPUs, or there is one process on the host, all;
    otherwise one each.

    Args:
      environment: variables of the process.

    >>> own_devices({"SLURM_LOCALID": "1", "SLURM_STEP_TASKS_PER_NODE": "4(x2)",
    ...              "CUDA_VISIBLE_DEVICES": "0,1,2,3"})
    [1]
    """
    visible = [d for d in environment.get("CUDA_VISIBLE_DEVICES", "").split(",") if d]
    local = _number(environment, "SLURM_LOCALID", "OMPI_COMM_WORLD_LOCAL_RANK")
    tasks = re.match(r"\d+", environment.get("SLURM_STEP_TASKS_PER_NODE", ""))
    beside = int(tasks[0]) if tasks else _number(environment, "OMPI_COMM_WORLD_LOCAL_SIZE") or 1
    if local is None or beside == 1 or len(visible) == 1:
        return list(range(len(visible))) or None
    return [local]
