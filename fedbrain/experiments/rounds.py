"""Runs the rounds of one federation that are still to be run: logs each and saves a checkpoint.

The loop is the same in simulation and between hospitals; the caller passes the function that runs
one round. Everything that decides what comes next is in the checkpoint or a function of (seed,
round, client), so a killed run ends in the same bits as an undisturbed one.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from fedbrain import progress
from fedbrain.experiments.config import Experiment
from fedbrain.experiments.round_end import Snapshot
from fedbrain.experiments.round_events import events
from fedbrain.experiments.shared_checkpoints import open_checkpoints
from fedbrain.experiments.workdir import MetricsLog
from fedbrain.processes import peers
from fedbrain.processes.running import finished_before_the_end
from fedbrain.training.selection import should_stop

# (before the round) -> (after the round, its line of the log)
OneRound = Callable[[Snapshot], tuple[Snapshot, dict[str, Any]]]


def is_over(experiment: Experiment, snapshot: Snapshot) -> bool:
    """Whether no round is left to be run: all are done, or early stopping ends the run.

    Args:
      experiment: gives the number of rounds and the patience.
      snapshot: after the last round.
    """
    return int(snapshot.server.round) >= experiment.rounds or should_stop(
        snapshot.selection, experiment.patience
    )


class Rounds:
    """The rounds of one federation, in a folder. A context manager: leaving it waits until the last
    checkpoint is safe.

    Args:
      folder: of `metrics.jsonl` and `checkpoints`.
      experiment: says how many rounds there are, and when to stop early.
      first: the snapshot before the first round.

    Raises:
      ValueError: when the folder holds checkpoints of another model or algorithm.
    """

    def __init__(self, folder: Path, experiment: Experiment, first: Snapshot):
        self.experiment = experiment
        self.name = f"{folder.parent.name}/{folder.name}"  # the federation and its split
        self.checkpoints = open_checkpoints(folder / "checkpoints", keep=experiment.keep)
        done, snapshot = self.checkpoints.restore_latest(first) or (0, first)
        self.snapshot: Snapshot = peers.first(snapshot)
        self.log = MetricsLog(folder / "metrics.jsonl", rounds=done)
        lines = peers.exchange(MetricsLog.read(self.log.path))[0]
        if peers.index():
            self.log.replace(lines)
        self.at_end = finished_before_the_end(self.checkpoints.flush)

    def __enter__(self) -> "Rounds":
        self.at_end.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.at_end.__exit__(None, None, None)
        self.checkpoints.close()

    @property
    def done(self) -> int:
        """Number of the last round that was run."""
        return int(self.snapshot.server.round)

    @property
    def over(self) -> bool:
        """Whether no round is left to be run."""
        return is_over(self.experiment, self.snapshot)

    def run(
        self, one_round: OneRound, *, stop: Callable[[], bool] = lambda: False
    ) -> Iterator[dict[str, Any]]:
        """Runs the rounds that are left.

        A line whose checkpoint was not saved is taken back at the next start.

        Args:
          one_round: runs one round.
          stop: asked before every round whether to run no more.

        Yields:
          The line of each round, once it is logged and its checkpoint is being saved.
        """
        while not self.over and not stop():
            began = time.monotonic()
            before = self.snapshot.selection
            self.snapshot, line = one_round(self.snapshot)
            line = {
                "seconds": round(time.monotonic() - began, 3),
                **line,
            }  # a network's are its own
            self.log.write(line)
            self.checkpoints.save(line["round"], self.snapshot)
            yield line
            now, patience = self.snapshot.selection, self.experiment.patience
            number, most = line["round"], self.experiment.rounds
            for sentence in events(before, now, patience, round=number, rounds=most):
                progress.say(f"{self.name}: {sentence}")
