"""Flags that are paths: `~` is the home folder, as in configurations."""

import sys
from pathlib import Path
from typing import Any

from absl import flags


class _PathParser(flags.ArgumentParser):
    """Text to a path."""

    syntactic_help = "a path"

    def parse(self, argument: str | Path) -> Path:
        """The path; a ValueError for an empty one, and for the home of nobody."""
        if not str(argument).strip():
            raise ValueError("expected a path, got nothing")
        try:
            return Path(argument).expanduser()
        except RuntimeError as error:  # ~nobody
            raise ValueError(f"{error}") from None

    def flag_type(self) -> str:
        """For help."""
        return "path"


def define_path(name: str, default: str | None, help: str, *, required: bool = False) -> Any:
    """A flag that holds a path.

    Args:
      name: of the flag.
      default: the value without it.
      help: one sentence.
      required: whether it must be given.
    """
    return _define(_PathParser(), name, default, help, required)


def define_paths(name: str, help: str, *, required: bool = False) -> Any:
    """A flag that holds paths, with commas between them.

    Args:
      name: of the flag.
      help: one sentence.
      required: whether it must be given.
    """
    return _define(_PathsParser(), name, None, help, required)


def show(name: str) -> None:
    """Lists a flag in the help of the program, as if the program had defined it.

    Args:
      name: of the flag.
    """
    flags.FLAGS.register_key_flag_for_module(sys.argv[0], flags.FLAGS[name])


def _define(
    parser: flags.ArgumentParser, name: str, default: str | None, help: str, required: bool
) -> Any:
    holder = flags.DEFINE(
        parser, name, default, help, serializer=flags.ArgumentSerializer(), required=required
    )
    show(name)
    return holder


class _PathsParser(_PathParser):
    """Text to paths."""

    def parse(self, argument: str | list[Path]) -> list[Path]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The paths."""
        texts = argument.split(",") if isinstance(argument, str) else argument
        return [super(_PathsParser, self).parse(text) for text in texts]
