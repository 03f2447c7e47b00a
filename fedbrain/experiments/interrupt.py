"""Ctrl-C, and the SIGTERM of a cluster, end a run at the next safe moment.

An exception in the middle of a save, or inside a library's callback, may hang or be swallowed. So
the first signal is only noted, and `check` raises between batches and rounds; a second signal
raises where the program is.
"""

import os
import signal
import threading
from collections.abc import Iterable, Iterator
from types import FrameType
from typing import TypeVar

T = TypeVar("T")

_requested = threading.Event()


def _note(number: int, frame: FrameType | None) -> None:
    del number, frame
    if _requested.is_set():
        raise KeyboardInterrupt
    _requested.set()
    os.write(
        2, b"\nStopping at the next batch; once more to stop at once.\n"
    )  # print() is not safe in a handler


def install() -> None:
    """Takes over SIGINT and SIGTERM; for the main thread of an entry point."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _note)


def request() -> None:
    """Asks the program to stop, as a signal does."""
    _requested.set()


def check() -> None:
    """Raises KeyboardInterrupt when a signal was noted."""
    if _requested.is_set():
        raise KeyboardInterrupt


def watched(items: Iterable[T]) -> Iterator[T]:
    """The same items, with a check before each.

    Args:
      items: batches, for instance.

    Raises:
      KeyboardInterrupt: when a signal was noted.
    """
    for item in items:
        check()
        yield item
