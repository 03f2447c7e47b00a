"""How often a run may fail in a row. A job that ends early is followed by another; jobs that all
end without a finished round are a fault that waiting does not mend.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

MOST = 8  # jobs in a row without a finished round; arbitrary


class Failures(NamedTuple):
    """Of a run, since its command was given."""

    done: int = -1  # rounds at the end of the last job
    in_a_row: int = 0  # jobs that failed since a round was finished


def count_failure(before: Failures, status: Mapping[str, Any], why: str) -> Failures:
    """The count after a job that ended early.

    Args:
      before: the count.
      status: what the server's side of the job wrote last.
      why: the job ended.

    Raises:
      ValueError: after too many in a row, with the last error and what to do.
    """
    done = int(status.get("round", 0))
    in_a_row = 0 if done > before.done else before.in_a_row
    in_a_row += not _waits(status, why)
    if in_a_row >= MOST:
        raise ValueError(
            f"The run ends: {in_a_row} jobs in a row ended without a finished round, the last one"
            f" with: {why.rstrip('.')}. Mend that (log.txt of the server's and the sites' kits say"
            f" more), then give the same command: it goes on after round {done}."
        )
    return Failures(max(done, before.done), in_a_row)


def _waits(status: Mapping[str, Any], why: str) -> bool:
    """Whether the job ended only because sites were away or wait for a person."""
    away = status.get("problem") == why and status.get("waits") is True
    return away or why == "FINISHED:CAN_NOT_SCHEDULE"
