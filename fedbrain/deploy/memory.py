"""What is a site's own between rounds, on its disk under the number of the round that it belongs to."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from fedbrain.deploy.wire import Refused
from fedbrain.io.checkpoint import Checkpoints
from fedbrain.types import ClientState


class Memory:
    """Private leaves, control variates and error feedback: of the last rounds, and of the best one.

    Args:
      folder: of this site and run.
      first: the state before the first round; the outline of all others.
      keep: how many rounds back the server may go.
    """

    def __init__(self, folder: Path, first: ClientState, *, keep: int):
        self.first, self.template = first, self._kept(first)
        self.last = Checkpoints(folder / "state", keep=max(2, keep))
        self.best = Checkpoints(folder / "best", keep=1)

    def save(self, round: int, state: ClientState) -> None:
        """Keeps the state after a round; returns when it is safe."""
        self.last.save(round, self._kept(state))
        self.last.flush()

    def of(self, round: int, *, take_back: bool = True) -> ClientState:
        """The state after a round, or after the last one before it in which the site took part.

        Args:
          round: that the server is at.
          take_back: later states belong to rounds that the server lost: they are deleted.

        Raises:
          Refused: when only later states are left, so that this round's is gone.
        """
        known = self.last.steps_saved()
        if known and min(known) > round and jax.tree.leaves(self.first):
            raise Refused(f"expected a round from {min(known)} on, since earlier private states are gone, got {round}")
        found = self.last.restore_latest(self.template, at_most=round, take_back=take_back)
        return self.first if found is None else jax.tree.map(jnp.asarray, found[1]["own"])

    def put_aside(self, round: int) -> None:
        """Keeps the state of the best round so far, before later rounds push it out."""
        if round > 0 and self.best.steps_saved() != [round]:
            state = self.of(round, take_back=False)
            self.best.restore_latest(self.template, at_most=round - 1)  # a later best one is of rounds that were lost
            self.best.save(round, self._kept(state))
            self.best.flush()

    def of_best(self) -> ClientState:
        """What `put_aside` kept."""
        found = self.best.restore_latest(self.template)
        return self.first if found is None else jax.tree.map(jnp.asarray, found[1]["own"])

    def close(self) -> None:
        """Waits until everything is safe."""
        self.last.close()
        self.best.close()

    @staticmethod
    def _kept(state: ClientState) -> dict[str, ClientState | np.ndarray]:
        return {"own": state, "mark": np.zeros(1)}  # a state may have no leaf, a checkpoint must have one
