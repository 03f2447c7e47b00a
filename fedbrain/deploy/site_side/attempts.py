"""Counts deaths of a site's process during training: after several in one round the site sits the
round out, so that the others can go on.
"""

import contextlib
import json
from pathlib import Path

from fedbrain.deploy.protocol.wire import Refused
from fedbrain.experiments.workdir import write_json

DEATHS = 3  # in one round, before the site sits out once


class Attempts:
    """Counts how often training of a round began at this site and never came to an end, in a file.

    Args:
      path: of the file; gone while nothing is being trained.
    """

    def __init__(self, path: Path):
        self.path = path

    def begin(self, round: int) -> None:
        """Notes that training begins.

        Args:
          round: its number, from 1.

        Raises:
          Refused: when the process died in this round three times; after that it tries again.
        """
        attempts = {"round": round, "begun": 0}
        with contextlib.suppress(OSError, json.JSONDecodeError):
            before = json.loads(self.path.read_text(encoding="utf-8"))
            attempts = before if before["round"] == round else attempts
        if attempts["begun"] >= DEATHS:
            self.over()
            raise Refused(
                f"this site's process died {attempts['begun']} times in round {round}: it sits out"
                " once"
            )
        write_json(self.path, {**attempts, "begun": attempts["begun"] + 1})

    def over(self) -> None:
        """Training came to an end, or was stopped in order."""
        self.path.unlink(missing_ok=True)
