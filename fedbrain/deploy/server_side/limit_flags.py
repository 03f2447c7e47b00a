"""Limits of a run between hospitals, as flags of every command that writes a job."""

from collections.abc import Callable

from absl import flags

from fedbrain.cli.paths import show

KIT_HELP = (
    "Folder of the server's kit, where this is the server's machine; without it results come here"
    " over the network when an experiment is over."
)


def define_limits() -> Callable[[], dict[str, int]]:
    """Defines the flags, and returns how their values are read: name -> value."""
    holders = [
        flags.DEFINE_integer(
            "fewest", 2, "Number of sites without which no round counts.", lower_bound=1
        ),
        flags.DEFINE_integer(
            "at_start",
            0,
            "Number of sites with which a run begins; those that are missing then stay out of it."
            " 0: all must be there.",
            lower_bound=0,
        ),
        flags.DEFINE_integer(
            "most_scans", 10_000, "Most scans of a part that a site may declare.", lower_bound=1
        ),
        flags.DEFINE_integer(
            "deadline_s", 3600, "Longest wait for an answer, in seconds.", lower_bound=1
        ),
    ]
    for holder in holders:
        show(holder.name)
    return lambda: {holder.name: holder.value for holder in holders}
