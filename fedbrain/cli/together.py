"""Flags of a process that was started together with others: `--coordinator`, `--processes`,
`--process`.
"""

from collections.abc import Callable

from absl import flags

from fedbrain.cli.paths import show
from fedbrain.processes.place import Place


def define_place() -> Callable[[], Place]:
    """The flags; they are read when the result is called."""
    address = flags.DEFINE_string(
        "coordinator", "", "HOST:PORT of process 0, where several work together: docs/clusters.md."
    )
    size = flags.DEFINE_integer("processes", None, "Number of processes; SLURM, Open MPI tell it.")
    rank = flags.DEFINE_integer("process", None, "Number of this process, from 0.")
    for holder in (address, size, rank):
        show(holder.name)
    return lambda: Place(address.value, size.value, rank.value)
