"""A trace of one round, for whoever wants to know where its time goes.

The second round that a program runs is traced, since the first one compiles; where an experiment
has one round, that one.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax

from fedbrain import progress
from fedbrain.experiments.round_end import Snapshot
from fedbrain.experiments.rounds import OneRound

FOLDER = "profile"
_folder: Path | None = None  # of the trace that is still to be made
_before = 0  # rounds that were run without one


@contextmanager
def tracing(folder: Path) -> Iterator[None]:
    """Inside, one round is traced.

    Args:
      folder: of the trace; made with it.
    """
    global _folder, _before
    _folder, _before = folder, 0
    try:
        yield
        if _folder is not None:
            progress.say("--profile: no trace was made, since too few rounds were left to be run.")
    finally:
        _folder = None


def traced(one_round: OneRound, *, rounds: int) -> OneRound:
    """The same rounds; one of them is traced inside `tracing`.

    Args:
      one_round: runs one round.
      rounds: of the federation, at most.
    """

    def run(snapshot: Snapshot) -> tuple[Snapshot, dict[str, Any]]:
        global _folder, _before
        folder = _folder
        if folder is None or (_before == 0 and rounds > 1):
            _before += 1
            return one_round(snapshot)
        with jax.profiler.trace(str(folder)):
            after = one_round(snapshot)
        _folder = None
        progress.say(f"Trace of round {after[1]['round']}: {folder}")
        return after

    return run
