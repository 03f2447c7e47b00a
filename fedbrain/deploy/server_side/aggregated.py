"""Aggregated models, on the disk before any site sees them: a site answers for one model a round,
so a server that dies after it has sent one must send the same again.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp

from fedbrain.experiments.checkpoints import Checkpoints
from fedbrain.experiments.workdir import write_json
from fedbrain.types import Metrics, ServerState


class Aggregate(NamedTuple):
    """What a round's training came to."""

    server: ServerState  # the new model
    names: list[str]  # sites whose updates are in it
    metrics: Metrics  # of the round
    left_out: dict[str, str]  # site -> why its update is not in it
    refused: list[str]  # answers that were refused


class Aggregates:
    """Of the last rounds.

    Args:
      workdir: of the run.
      keep: rounds.
    """

    def __init__(self, workdir: Path, *, keep: int):
        self.folder = workdir / "aggregated"
        self.checkpoints = Checkpoints(self.folder, keep=keep)

    def save(self, round: int, aggregate: Aggregate) -> None:
        """Returns when the aggregate is safe.

        Args:
          round: its number, from 1.
          aggregate: of the round.
        """
        rest = {k: v for k, v in aggregate._asdict().items() if k != "server"}
        write_json(self._file(round), rest)
        self.checkpoints.drop_from(round)
        self.checkpoints.save(round, aggregate.server)
        self.checkpoints.flush()
        for path in self.folder.glob("round-*.json"):
            if int(path.stem.split("-")[1]) not in self.checkpoints.steps_saved():
                path.unlink()

    def of(self, round: int, outline: ServerState) -> Aggregate | None:
        """The aggregate of a round; None when there is none.

        Args:
          round: its number.
          outline: any state of the same shapes.
        """
        restored = self.checkpoints.restore_latest(outline, at_most=round)
        if restored is None or restored[0] != round or not self._file(round).is_file():
            return None
        rest: dict[str, Any] = json.loads(self._file(round).read_text(encoding="utf-8"))
        metrics = {k: jnp.asarray(v, jnp.float32) for k, v in rest.pop("metrics").items()}
        return Aggregate(server=restored[1], metrics=metrics, **rest)

    def close(self) -> None:
        """Waits until everything is safe."""
        self.checkpoints.close()

    def _file(self, round: int) -> Path:
        return self.folder / f"round-{round}.json"
