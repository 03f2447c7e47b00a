"""A site's private state between rounds, on its disk under the number of the round that it belongs
to.
"""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from fedbrain.deploy.protocol.wire import Refused
from fedbrain.experiments.checkpoints import Checkpoints
from fedbrain.experiments.workdir import write_json
from fedbrain.types import ClientState


class Memory:
    """Private leaves, control variates and error feedback: of the last rounds, and of the best one.

    Args:
      folder: of this site and run.
      first: the state before the first round; the outline of all others.
      keep: rounds that the server keeps: it may go back to the first of them.
    """

    def __init__(self, folder: Path, first: ClientState, *, keep: int):
        self.first, self.template = first, self._to_save(first)
        self.last = Checkpoints(folder / "state", keep=keep + 1)  # one more: the round under way
        self.best = Checkpoints(folder / "best", keep=keep + 1)
        self.journal = (
            folder / "rounds.json"
        )  # in which the site took part: a state that rots is missed

    def save(self, round: int, state: ClientState) -> None:
        """Keeps the state after a round; what was kept of later ones belongs to rounds that the
        server lost.

        Nothing else deletes: a question of an earlier round, come late, costs nothing.

        Args:
          round: its number, from 1.
          state: after the round.
        """
        for checkpoints in (self.last, self.best):
            checkpoints.drop_from(round)
        self.last.save(round, self._to_save(state))
        self.last.flush()
        write_json(self.journal, [*(r for r in self._rounds() if r < round), round])

    def of(self, round: int) -> ClientState:
        """The state after a round, or after the last one before it in which the site took part.

        Args:
          round: its number; 0: before the first one.

        Raises:
          Refused: when that state is gone, pushed out by later ones or damaged on the disk.
        """
        expected = max((r for r in self._rounds() if r <= round), default=None)
        restored = self.last.restore_latest(self.template, at_most=round)
        if jax.tree.leaves(self.first) and expected != (restored and restored[0]):
            raise Refused(
                f"the private state of round {expected}, which round {round} needs, is gone from"
                " this site's disk"
            )
        return self.first if restored is None else jax.tree.map(jnp.asarray, restored[1]["own"])

    def holds(self, round: int) -> bool:
        """Whether the state after a round in which the site took part is there and whole.

        Args:
          round: its number, from 1.
        """
        try:
            self.of(round)
        except Refused:
            return False
        return round in self._rounds()

    def put_aside(self, round: int) -> None:
        """Keeps the state of the best round so far, before later rounds push it out.

        Args:
          round: the best one so far.
        """
        if round > max(self.best.steps_saved(), default=0):
            self.best.save(round, self._to_save(self.of(round)))
            self.best.flush()

    def of_best(self, round: int) -> ClientState:
        """What `put_aside` kept.

        Args:
          round: the best one.

        Raises:
          Refused: when it is gone.
        """
        restored = self.best.restore_latest(self.template, at_most=round)
        if round > 0 and jax.tree.leaves(self.first) and (restored is None or restored[0] != round):
            raise Refused(
                f"the private state of the best round {round} is gone from this site's disk"
            )
        return self.first if restored is None else jax.tree.map(jnp.asarray, restored[1]["own"])

    def close(self) -> None:
        """Waits until everything is safe."""
        self.last.close()
        self.best.close()

    def _rounds(self) -> list[int]:
        return (
            json.loads(self.journal.read_text(encoding="utf-8")) if self.journal.is_file() else []
        )

    @staticmethod
    def _to_save(state: ClientState) -> dict[str, ClientState | np.ndarray]:
        return {
            "own": state,
            "mark": np.zeros(1),
        }  # a state may have no leaf, a checkpoint must have one
