"""The watch of the run that this process takes part in, if any."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import jax

from fedbrain.processes.watch import Lost, Watch

_watches: list[Watch] = []  # none or one


def begin(watch: Watch) -> None:
    """Makes a watch that of this process.

    Args:
      watch: that has begun.
    """
    _watches[:] = [watch]


def end() -> None:
    """Forgets the watch, which has ended."""
    _watches.clear()


@contextmanager
def waiting() -> Iterator[None]:
    """Around a wait for all processes: ends with the program, or an error, when one has gone.

    Raises:
      Lost: saying why.
    """
    if not _watches:
        yield
        return
    watch = _watches[0]
    try:
        with watch.waiting():
            yield
    except (jax.errors.JaxRuntimeError, ValueError):  # which one depends on how JAX dispatches
        raise Lost(watch.reason().sentence) from None


@contextmanager
def finished_before_the_end(finish: Callable[[], None]) -> Iterator[None]:
    """`finish` is called when the program is ended while it waits for another process.

    Args:
      finish: writes what is still to be written.
    """
    for watch in _watches:
        watch.at_end.append(finish)
    try:
        yield
    finally:
        for watch in _watches:
            watch.at_end.remove(finish)
