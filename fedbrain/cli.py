"""What every entry point does before the first computation, and how it ends.

Settings of the process (huge pages, compilation cache, logs) are made here and nowhere else. A
mistake of the user becomes one sentence and an exit code.
"""

import importlib.metadata
import logging
import os
import sys
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
from absl import app, flags
from ml_collections import config_flags

from fedbrain.experiments import interrupt
from fedbrain.experiments.config_file import require_readable

# jaxlib -> the flag with which its 2-D convolutions use every core. An unknown flag would abort the
# process, so each version that was measured has its row.
CPU_FLAGS = {
    # Without it large convolutions run on one core.
    "0.10.2": "--xla_cpu_experimental_ynn_fusion_type=-individual_convolution",
    # None: they use every core, and that flag would make them up to 2.5 times slower.
    "0.12.0.1": "",
}

TUNABLE = "glibc.malloc.hugetlb=1"
HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")

CACHE = Path("~/.cache/fedbrain/xla")  # compiled programs
LOGGERS = ("absl", "orbax", "jax._src.compiler", "jax._src.xla_bridge")  # only errors are shown


def huge_pages() -> None:
    """Restarts the program with large blocks in huge pages, where the system lets programs choose.

    A training step allocates hundreds of MB and frees them again; with pages of 4 kB, filling them
    anew takes longer than computing with them (28 ms against 6 ms for 134 MB). glibc reads this
    setting only when a process starts.
    """
    ours = getattr(sys.modules["__main__"].__spec__, "name", "").startswith("fedbrain.")
    tunables = os.environ.get("GLIBC_TUNABLES", "")
    if not ours or "hugetlb" in tunables or not HUGE_PAGES.exists():
        return
    if "[madvise]" in HUGE_PAGES.read_text():
        os.environ["GLIBC_TUNABLES"] = f"{tunables}:{TUNABLE}".strip(":")
        os.execv(sys.executable, sys.orig_argv)


def cpu_flag(jaxlib: str) -> str:
    """The flag that this version of jaxlib needs, or "".

    A version that was not measured runs without one, and a warning says so.
    """
    if jaxlib not in CPU_FLAGS:
        warnings.warn(
            f"fedbrain was tested with jaxlib {' and '.join(CPU_FLAGS)}, not with {jaxlib}: CPU"
            " convolutions may be slow.",
            stacklevel=2,
        )
    return CPU_FLAGS.get(jaxlib, "")


def configure() -> None:
    """Switches on huge pages, the compilation cache, fast CPU convolutions and quiet logs.

    Settings that the user has made stay. Asynchronous dispatch is switched off, so that no
    computation is running when Ctrl-C ends the program (`fedbrain.models.convolution.foreign` says
    why); this cost no time that could be measured.
    """
    huge_pages()
    jax.config.update("jax_cpu_enable_async_dispatch", False)
    flag = cpu_flag(importlib.metadata.version("jaxlib"))
    xla_flags = os.environ.get("XLA_FLAGS", "")
    if flag and flag.split("=")[0] not in xla_flags:
        os.environ["XLA_FLAGS"] = f"{xla_flags} {flag}".strip()
    if not jax.config.values.get("jax_compilation_cache_dir"):
        jax.config.update("jax_compilation_cache_dir", str(CACHE.expanduser()))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
    for name in LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="orbax|flax")


def configure_training() -> None:
    """`configure`, and Ctrl-C ends a run between two batches, so that its checkpoints are whole."""
    configure()
    interrupt.install()


def in_one_sentence(argv: list[str], run: Callable[[], None], *, interrupted: str) -> None:
    """Calls `run`; a ValueError or Ctrl-C ends the program with one sentence and an exit code.

    Args:
      argv: what absl did not parse; more than the program's name is a mistake.
      run: the work.
      interrupted: printed after Ctrl-C: what was kept, how to go on.
    """
    if len(argv) > 1:
        sys.exit(f"fedbrain: expected only flags, got {argv[1:]}.")
    try:
        run()
    except ValueError as error:
        sys.exit(f"fedbrain: {error}")
    except KeyboardInterrupt:
        print(f"\nInterrupted. {interrupted}", file=sys.stderr)
        sys.exit(130)


def run_flags(
    run: Callable[[], None], *, interrupted: str, prepare: Callable[[], None] = configure
) -> None:
    """An entry point with flags of its own.

    Args:
      run: the work; flags are parsed when it is called.
      interrupted: printed after Ctrl-C.
      prepare: settings of the process.
    """

    def main(argv: list[str]) -> None:
        prepare()
        in_one_sentence(argv, run, interrupted=interrupted)

    app.run(main)


def run_config(
    run: Callable[[Any, Path], None],
    *,
    kind: str,
    interrupted: str,
    prepare: Callable[[], None] = configure_training,
) -> None:
    """An entry point with `--config=FILE.py`, `--config.FIELD=VALUE` and `--workdir=DIR`.

    Args:
      run: the work, on the configuration and the folder for its results.
      kind: of configuration, for --help: experiment, grid, study.
      interrupted: printed after Ctrl-C.
      prepare: settings of the process.
    """
    try:  # before absl, which answers such mistakes with a traceback
        require_readable(sys.argv, kind)
    except ValueError as error:
        sys.exit(f"fedbrain: {error}")
    help_config = f"Configuration file of the {kind}; --config.FIELD=VALUE changes a field."
    help_workdir = "Folder of the results; by default runs/<name of the configuration file>."
    config = config_flags.DEFINE_config_file("config", None, help_config, lock_config=True)
    workdir = flags.DEFINE_string("workdir", None, help_workdir)
    flags.mark_flag_as_required("config")
    for name in ("config", "workdir"):  # so that --help lists them
        flags.FLAGS.register_key_flag_for_module(sys.argv[0], flags.FLAGS[name])

    def on_config() -> None:
        name = Path(flags.FLAGS["config"].config_filename).stem  # pyright: ignore[reportAttributeAccessIssue]
        run(config.value, Path(workdir.value or f"runs/{name}"))

    run_flags(on_config, interrupted=interrupted, prepare=prepare)


def given(flag: flags.FlagHolder) -> Any:
    """The value of a flag that this command needs.

    Raises:
      ValueError: when it was not given.
    """
    if not flag.value:
        raise ValueError(f"expected --{flag.name}, got none.")
    return flag.value


def run_command(commands: Mapping[str, Callable[[], None]], *, default: str = "") -> None:
    """An entry point with several commands: `python -m MODULE COMMAND --FLAG=VALUE`.

    Args:
      commands: name -> the work; flags are parsed when it is called.
      default: the command when none is given; empty: one must be given.
    """

    def main(argv: list[str]) -> None:
        name = argv[1] if len(argv) > 1 else default
        if name not in commands or len(argv) > 2:
            sys.exit(
                f"fedbrain: expected one command of {', '.join(commands)}, got"
                f" {argv[1:] or 'none'}."
            )
        interrupted = "The same command goes on where this one stopped."
        in_one_sentence(argv[:1], commands[name], interrupted=interrupted)

    app.run(main)
