"""Learning-rate schedules over rounds, decided by the server and followed by every client."""

import math
from typing import Protocol, runtime_checkable


@runtime_checkable
class Schedule(Protocol):
    """A factor on the clients' learning rate."""

    def __call__(self, done: int, rounds: int, /) -> float:
        """Takes the rounds completed, and all rounds."""
        ...


def constant() -> Schedule:
    """No schedule: only a plateau lowers the learning rate.

    >>> constant()(3, 4)
    1.0
    """
    return lambda done, rounds: 1.0


def cosine(final: float = 0.0) -> Schedule:
    """From 1 to `final` along half a cosine.

    >>> [round(cosine()(k, 4), 3) for k in (0, 2, 4)]
    [1.0, 0.5, 0.0]

    References:
      Loshchilov and Hutter (2017), https://arxiv.org/abs/1608.03983
    """
    if not 0 <= final <= 1:
        raise ValueError(f"Expected 0 <= final={final} <= 1.")
    return lambda done, rounds: (
        final + (1 - final) * 0.5 * (1 + math.cos(math.pi * min(done / rounds, 1.0)))
    )


SCHEDULES = {"constant": constant, "cosine": cosine}
