"""Entry points with a command: python -m fedbrain.deploy.site check --kit=FOLDER."""

import sys
from collections.abc import Callable, Mapping
from typing import Any

from absl import app, flags

from fedbrain import startup


def given(flag: flags.FlagHolder) -> Any:
    """The value of a flag that this command needs.

    Raises:
      ValueError: when it was not given.
    """
    if not flag.value:
        raise ValueError(f"expected --{flag.name}, got none.")
    return flag.value


def run_command(commands: Mapping[str, Callable[[], None]], *, default: str = "") -> None:
    """Runs one of the commands; errors are a sentence and an exit code.

    Args:
      commands: name -> what it does; flags are parsed by then.
      default: the command when none is named; none: there must be one.
    """

    def main(argv: list[str]) -> None:
        name = argv[1] if len(argv) > 1 else default
        if name not in commands or len(argv) > 2:
            sys.exit(f"fedbrain: expected one command of {', '.join(commands)}, got {argv[1:] or 'none'}.")
        interrupted = "The same command goes on where this one stopped."
        startup.in_one_sentence(argv[:1], commands[name], interrupted=interrupted)

    app.run(main)
