"""Settings of the process that only an entry point may make, before the first computation."""

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

# jaxlib -> the flag with which its 2-D convolutions use every core. An unknown flag would abort the
# process, so each version that was measured has its row.
CPU_FLAGS = {
    # Without it the larger convolutions run on one core.
    "0.10.2": "--xla_cpu_experimental_ynn_fusion_type=-individual_convolution",
    # None: with that flag they take up to twice as long.
    "0.12.0.1": "",
}

TUNABLE = "glibc.malloc.hugetlb=1"
HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def huge_pages() -> None:
    """Starts the program anew with large blocks in huge pages, where that is the program's to
    choose.

    A training step asks the C library for hundreds of MB and gives them back; in pages of 4 kB,
    filling them anew takes longer than computing with them (28 ms against 6 ms for 134 MB). glibc
    reads this setting only when a process begins.
    """
    own = getattr(sys.modules["__main__"].__spec__, "name", "").startswith("fedbrain.")
    theirs = os.environ.get("GLIBC_TUNABLES", "")
    if (
        own
        and "hugetlb" not in theirs
        and HUGE_PAGES.exists()
        and "[madvise]" in HUGE_PAGES.read_text()
    ):
        os.environ["GLIBC_TUNABLES"] = f"{theirs}:{TUNABLE}".strip(":")
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
    """Switches on huge pages, the compilation cache on disk, fast CPU convolutions, quiet logs; the
    user's settings win.

    On a CPU a computation is over when its call returns, so that none is under way when Ctrl-C ends
    the program (`fedbrain.models.convolution.foreign` says why); it was no slower that way.
    """
    huge_pages()
    jax.config.update("jax_cpu_enable_async_dispatch", False)
    flag = cpu_flag(importlib.metadata.version("jaxlib"))
    if flag and flag.split("=")[0] not in os.environ.get("XLA_FLAGS", ""):
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flag}".strip()
    if not jax.config.values.get("jax_compilation_cache_dir"):
        jax.config.update(
            "jax_compilation_cache_dir", str(Path("~/.cache/fedbrain/xla").expanduser())
        )
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
    for name in ("absl", "orbax", "jax._src.compiler", "jax._src.xla_bridge"):
        logging.getLogger(name).setLevel(logging.ERROR)


def configure_training() -> None:
    """`configure`, and Ctrl-C ends a run between two batches, so that its checkpoints are whole."""
    configure()
    interrupt.install()
    warnings.filterwarnings("ignore", module="orbax|flax")


def in_one_sentence(argv: list[str], run: Callable[[], None], *, interrupted: str) -> None:
    """Runs an entry point: flags only, and what went wrong in one sentence and an exit code.

    Args:
      argv: what absl left over; more than the program's name is a mistake.
      run: the story.
      interrupted: what Ctrl-C answers.
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


def run_config(
    story: Callable[[Any, Path], None],
    *,
    what: str,
    interrupted: str,
    prepare: Callable[[], None] = configure_training,
) -> None:
    """An entry point with `--config=FILE.py`, `--config.FIELD=VALUE` and `--workdir=DIR`.

    Args:
      story: takes the configuration and the folder for its results.
      what: the configuration describes: experiment, grid, study.
      interrupted: what Ctrl-C answers.
      prepare: settings of the process.
    """
    config = config_flags.DEFINE_config_file("config", None, f"The {what}.", lock_config=True)
    default = "Where results go; by default runs/<name of the configuration>."
    workdir = flags.DEFINE_string("workdir", None, default)
    for name in ("config", "workdir"):
        flags.FLAGS.register_key_flag_for_module(
            sys.argv[0], flags.FLAGS[name]
        )  # so that --help tells of them
    flags.mark_flag_as_required("config")

    def main(argv: list[str]) -> None:
        prepare()
        name = Path(flags.FLAGS["config"].config_filename).stem  # pyright: ignore[reportAttributeAccessIssue]
        folder = Path(workdir.value or f"runs/{name}")
        in_one_sentence(argv, lambda: story(config.value, folder), interrupted=interrupted)

    app.run(main)


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
            sys.exit(
                f"fedbrain: expected one command of {', '.join(commands)}, got"
                f" {argv[1:] or 'none'}."
            )
        interrupted = "The same command goes on where this one stopped."
        in_one_sentence(argv[:1], commands[name], interrupted=interrupted)

    app.run(main)
