"""Models that the server sent, as a site keeps them on its disk."""

import os
from pathlib import Path

from fedbrain.deploy.protocol.codec import Data
from fedbrain.deploy.protocol.wire import Message, Refused, unpack


def keep(path: Path, data: Data) -> None:
    """Writes a message, so that it is there whole or not at all.

    Args:
      path: of the file.
      data: the bytes of the message.
    """
    temporary = path.with_suffix(".tmp")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def read_kept(path: Path, round: int, *, limit: int) -> Message:
    """The message with the model of a round, which came last.

    Args:
      path: of the file.
      round: of the model.
      limit: the most bytes of a message.

    Raises:
      Refused: when another one came last, or none.
    """
    if path.is_file():
        message = unpack(path.read_bytes(), limit=limit)
        if message.envelope.round == round:
            return message
    raise Refused(f"expected the model of round {round} before the order to train on it, got none")


def best_round_of(message: Message) -> int:
    """The best round so far, which no message may put after its own.

    Args:
      message: with a model.

    Raises:
      Refused: for another round than there is.
    """
    value, round = message.envelope.scalars["best_round"], message.envelope.round
    if value not in range(-1, round + 1):
        raise Refused(f"best_round: expected a round from -1 to {round}, got {value:g}")
    return int(value)
