"""Checkpoints of a run by several processes: process 0 writes them, the others are told."""

from pathlib import Path

from fedbrain.experiments.checkpoints import Checkpoints
from fedbrain.processes import peers
from fedbrain.types import PyTree


class NoCheckpoints:
    """The steps of one federation at a process that another one saves for."""

    def save(self, step: int, tree: PyTree) -> None:
        """Does nothing."""

    def restore_latest(self, template: PyTree) -> None:
        """None: process 0 tells what it restored."""

    def flush(self) -> None:
        """Does nothing."""

    def close(self) -> None:
        """Does nothing."""


def open_checkpoints(folder: Path, *, keep: int) -> Checkpoints | NoCheckpoints:
    """The steps of one federation, at process 0; the others save nothing.

    Args:
      folder: of the steps and their manifests.
      keep: how many steps are kept.
    """
    return NoCheckpoints() if peers.index() else Checkpoints(folder, keep=keep)
