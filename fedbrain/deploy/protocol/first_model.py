"""The model that a job starts from, as `config.initial` of the job names it.

random()                                     follows from the job's seed: everybody makes it
sent('SHA256')                               comes with the first question
sent('SHA256', run='SHA256', head=False)     likewise, and it is the best model of an earlier
                                             run, here with a last layer of zeros
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from fedbrain.deploy.protocol.wire import Refused
from fedbrain.experiments.spec import choose


class Start(NamedTuple):
    """A model that the server sends."""

    sha256: str  # of its variables, see `tree_digest`
    run: str  # hash of the configuration of the run whose best model it is; "": of none
    head: bool  # whether its last layer is that run's; otherwise it is zero


def random() -> None:
    """The model of the job's seed."""


def sent(sha256: str, run: str = "", head: bool = True) -> Start:
    """A model that the server sends.

    Args:
      sha256: of its variables.
      run: hash of the configuration of the run between hospitals whose best model it is.
      head: whether its last layer is that run's.

    Raises:
      ValueError: for a hash that is none.

    >>> sent("a" * 64).head
    True
    """
    for name, value in {"sha256": sha256, "run": run or "0" * 64}.items():
        if not re.fullmatch(r"[0-9a-f]{64}", value):
            raise ValueError(f"{name}: expected a SHA-256, 64 digits, got {value[:80]!r}.")
    return Start(sha256, run, head)


STARTS = {"random": random, "sent": sent}


def read_start(config: Mapping[str, Any]) -> Start | None:
    """The model that a job sends; None for that of its seed.

    Args:
      config: of a job.

    Raises:
      Refused: for a start that a job cannot name, such as a folder of the server.
    """
    try:
        return choose("initial", str(config.get("initial", "random()")), STARTS)
    except ValueError as error:
        raise Refused(
            f"{error} A job names its first model by a hash; `fedbrain server run` takes"
            " run('WORKDIR') and file('FILE') and sends the model"
        ) from None
