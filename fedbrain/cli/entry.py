"""The ways in: commands with flags of their own, with a configuration, with commands of their own.

A mistake of the user becomes one sentence and an exit code.
"""

import os
import sys
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from absl import flags

from fedbrain import progress
from fedbrain.cli.command_line import ConfigFlag, define_config, parse, refuse
from fedbrain.cli.paths import define_path
from fedbrain.cli.process import configure, configure_training
from fedbrain.experiments.catalogue import UsageError


def in_one_sentence(run: Callable[[], None], *, interrupted: str) -> None:
    """Calls `run`; a mistake, the system or Ctrl-C end the program with a sentence and a code.

    Args:
      run: the work; after `parse`, whose --quiet is obeyed.
      interrupted: printed after Ctrl-C: what was kept, how to go on.
    """
    try:
        with progress.silenced() if flags.FLAGS["quiet"].value else nullcontext():
            run()
    except UsageError as error:
        refuse(error)
    except ValueError as error:
        sys.exit(f"fedbrain: {error}")
    except BrokenPipeError:  # the reader of the output, `head` for instance, has left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        sys.exit(f"fedbrain: {where}{error.strerror or error}.")
    except KeyboardInterrupt:
        print(f"\nInterrupted. {interrupted}", file=sys.stderr)
        sys.exit(130)


def run_flags(
    run: Callable[[], None],
    *,
    interrupted: str,
    prepare: Callable[[], None] = configure,
    word: str = "",
    config: ConfigFlag | None = None,
) -> None:
    """An entry point with flags of its own.

    Args:
      run: the work; flags are parsed when it is called.
      interrupted: printed after Ctrl-C.
      prepare: settings of the process.
      word: the flag whose value may be given as a word, without the flag.
      config: from `define_config`, where the command reads a configuration; then `word` is that.
    """
    left = parse("config" if config else word, config)
    if left:
        refuse(UsageError(f"expected only flags, got {left}"))

    def work() -> None:
        prepare()
        run()

    in_one_sentence(work, interrupted=interrupted)


def run_config(
    run: Callable[[Any, Path], None],
    *,
    kind: str,
    interrupted: str,
    prepare: Callable[[], None] = configure_training,
) -> None:
    """An entry point with a configuration, `--config.FIELD=VALUE` and `--workdir=DIR`.

    Args:
      run: the work, on the configuration and the folder for its results.
      kind: of configuration, for --help: experiment, grid, study, sweep.
      interrupted: printed after Ctrl-C.
      prepare: settings of the process.
    """
    config = define_config(kind)
    help_workdir = "Folder of the results; by default runs/<name of the configuration>."
    workdir = define_path("workdir", None, help_workdir)
    run_flags(
        lambda: run(config.value, workdir.value or Path("runs", config.stem)),
        interrupted=interrupted,
        prepare=prepare,
        config=config,
    )


def given(flag: flags.FlagHolder | ConfigFlag) -> Any:
    """The value of a flag that this command needs.

    Raises:
      UsageError: when it was not given.
    """
    if not flag.value:
        raise UsageError(f"expected --{flag.name}, got none.")
    return flag.value


def name_and_value(flag: str, text: str) -> tuple[str, str]:
    """`age=Age` as `("age", "Age")`.

    Args:
      flag: that holds the text, for the sentence.
      text: NAME=VALUE.

    Raises:
      UsageError: for other text.
    """
    name, separator, value = text.partition("=")
    if not (name and separator and value):
        raise UsageError(f"--{flag}: expected NAME=VALUE, got {text!r}.")
    return name, value


def run_command(
    commands: Mapping[str, Callable[[], None]],
    *,
    default: str = "",
    config: ConfigFlag | None = None,
) -> None:
    """An entry point with several commands: `fedbrain NAME COMMAND --FLAG=VALUE`.

    Args:
      commands: name -> the work; flags are parsed when it is called.
      default: the command when none is given; empty: one must be given.
      config: from `define_config`, where a command reads a configuration.
    """
    name, *more = parse("", config) or [default]
    if name not in commands or more:
        got = [name, *more] if name else "none"
        refuse(UsageError(f"expected one command of {', '.join(commands)}, got {got}"))
    in_one_sentence(commands[name], interrupted="The same command goes on where this one stopped.")
