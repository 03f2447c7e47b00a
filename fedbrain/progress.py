"""Progress of long work: a bar on a terminal, a line for each step in a log, nothing if not wanted.

All of it goes to the standard error; results go to the standard output.
"""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from tqdm import tqdm

T = TypeVar("T")

_wanted = True


@contextmanager
def silenced() -> Iterator[None]:
    """No progress inside: for the flag --quiet, and for `quiet=True` in Python."""
    global _wanted
    before, _wanted = _wanted, False
    try:
        yield
    finally:
        _wanted = before


def _on_terminal() -> bool:
    return _wanted and sys.stderr.isatty()


def each(items: Iterable[T], title: str, total: int | None = None, **options: Any) -> Iterable[T]:
    """The same items, with a bar on a terminal.

    Args:
      items: that work is done on.
      title: of the bar.
      total: number of items, where they have no length.
      options: of tqdm.
    """
    return tqdm(items, title, total, disable=not _on_terminal(), **options)


class Steps:
    """Steps that take long: rounds, cells of a study, experiments of a grid."""

    def __init__(self, title: str, *, unit: str, total: int, done: int = 0):
        self.title, self.unit, self.total, self.done = title, unit, total, done
        hidden = not _on_terminal()
        self._bar = tqdm(desc=title, unit=unit, total=total, initial=done, disable=hidden)

    def now(self, text: str) -> None:
        """What is being done, on the bar; a log does not need it.

        Args:
          text: a few words.
        """
        self._bar.set_postfix_str(text)

    def reach(self, done: int, text: str) -> None:
        """So many are done; a log gets a line where that is news.

        Args:
          done: number of steps.
          text: outcome of the last one, in a few words.
        """
        if _wanted and self._bar.disable and done > self.done:
            line = f"{self.title}: {self.unit} {done}/{self.total}, {text}"
            print(line, file=sys.stderr, flush=True)
        self.done = self._bar.n = done
        self._bar.set_postfix_str(text)

    def __enter__(self) -> "Steps":
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.close()


def say(text: str) -> None:
    """An event, printed without tearing a bar; also when progress is not wanted.

    Args:
      text: a sentence.
    """
    tqdm.write(text)
