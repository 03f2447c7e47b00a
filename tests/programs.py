"""Commands in this process: no other one starts, and what is compiled stays so."""

import contextlib
import importlib
import io
import logging
import runpy
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from unittest import mock

from absl import flags

from fedbrain.cli import process

ROOT = Path(__file__).parents[1]
OURS = ("fedbrain.", "benchmarks.", "tools.", "tests.")


class Done(NamedTuple):
    """How a command ended, as `subprocess.run` says it."""

    returncode: int
    stdout: str
    stderr: str


@contextmanager
def no_flags() -> Iterator[None]:
    """The flags of our commands are gone inside, and are as before afterwards."""
    known = flags.FLAGS
    owners = {name: str(known.find_module_defining_flag(name)) for name in known}
    ours = {name: known[name] for name, owner in owners.items() if owner.startswith(OURS)}
    for name in ours:
        delattr(known, name)
    try:
        yield
    finally:
        for name in (set(known) - set(owners)) | (set(known) & set(ours)):
            delattr(known, name)
        for name, flag in ours.items():
            known[name] = flag
            known.register_flag_by_module(owners[name], flag)
        known.unparse_flags()
        known.mark_as_parsed()


@contextmanager
def function_of(program: str, name: str) -> Iterator[Callable]:
    """A function of a program that has flags, which are gone afterwards.

    Args:
      program: the module, as `python -m` takes it.
      name: of the function.
    """
    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()
    with no_flags():
        yield getattr(importlib.import_module(program), name)


@contextmanager
def same_process() -> Iterator[None]:
    """What a command sets for its process (loggers, signals, hooks) is as before afterwards."""
    hook = sys.unraisablehook
    levels = {name: logging.getLogger(name).level for name in process.LOGGERS}
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        sys.unraisablehook = hook


def run_as_main(module: str) -> None:
    """Runs a module like `python -m MODULE`.

    Here its annotations are checked. Its bytecode is not kept, since other programs would find it
    under the usual name, and have nothing that checks.
    """
    with mock.patch.object(sys, "dont_write_bytecode", True):
        runpy.run_module(module, run_name="__main__", alter_sys=False)


def run_program(module: str, *arguments: object, folder: Path = ROOT) -> Done:
    """`python -m MODULE ARGUMENT...` from a folder, by default the root of the project; an error
    that the command does not turn into a sentence is raised.
    """
    words = [module, *map(str, arguments)]
    out, errors = io.StringIO(), io.StringIO()

    with (
        warnings.catch_warnings(),
        no_flags(),
        same_process(),
        contextlib.chdir(folder),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(errors),
        mock.patch.object(sys, "argv", words),
    ):
        warnings.filterwarnings("ignore", "the load_module", DeprecationWarning)  # absl's
        sys.modules.pop(module, None)  # else Python warns that it is there twice
        try:
            run_as_main(module)
            code = 0
        except SystemExit as error:
            code = error.code or 0
            if isinstance(code, str):  # as Python does
                print(code, file=errors)
                code = 1
    return Done(int(code), out.getvalue(), errors.getvalue())
