"""Settings of the process, made here and nowhere else: memory, compilation cache, logs."""

import gc
import importlib.metadata
import io
import logging
import os
import sys
import warnings
from pathlib import Path
from typing import Any

from fedbrain.cli import allocator
from fedbrain.experiments import interrupt

# jaxlib -> the flag with which its 2-D convolutions use every core. An unknown flag would abort the
# process, so each version that was measured has its row.
CPU_FLAGS = {
    # Without it large convolutions run on one core.
    "0.10.2": "--xla_cpu_experimental_ynn_fusion_type=-individual_convolution",
    # None: they use every core, and that flag would make them up to 2.5 times slower.
    "0.12.0.1": "",
}

CACHE = Path("~/.cache/fedbrain/xla")  # compiled programs
# New objects between two searches for garbage in cycles, 700 by Python's default. Tracing a step of
# DenseNet-121 makes a million objects, nearly none of them garbage: 2.7 s where it took 4.1.
OBJECTS_BETWEEN_SEARCHES = 10_000
LOGGERS = {  # what is shown of each
    "absl": logging.CRITICAL,  # Orbax prints the tracebacks of its threads there, and raises them
    "orbax": logging.CRITICAL,
    "jax._src.compiler": logging.ERROR,
    "jax._src.xla_bridge": logging.ERROR,
}


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


def without_late_callbacks(unraisable: Any) -> None:
    """A `sys.unraisablehook` that passes over what comes from a save that has failed: the library
    of checkpoints calls an event loop of its own that is closed, once for every array.

    Args:
      unraisable: the error that nobody could catch.
    """
    if str(unraisable.exc_value) != "Event loop is closed":
        sys.__unraisablehook__(unraisable)


def search_garbage_seldom() -> None:
    """Lets more objects come before Python looks for cycles; a user's larger number stays, and so
    does 0, never.
    """
    if 0 < gc.get_threshold()[0] < OBJECTS_BETWEEN_SEARCHES:
        gc.set_threshold(OBJECTS_BETWEEN_SEARCHES)


def configure() -> None:
    """Keeps memory, and switches on the compilation cache, fast CPU convolutions and quiet logs.

    Settings that the user has made stay. Asynchronous dispatch is switched off, so that no
    computation is running when Ctrl-C ends the program (`fedbrain.models.convolution.foreign` says
    why); this cost no time that could be measured.
    """
    kept = allocator.keep_memory()
    search_garbage_seldom()
    if isinstance(sys.stdout, io.TextIOWrapper):
        # a log shows a line when it is printed; what its encoding lacks is printed as \xe4
        sys.stdout.reconfigure(line_buffering=True, errors="backslashreplace")
    import jax  # a second, which help does not need

    if kept:
        allocator.give_back_after_compiling()
    jax.config.update("jax_cpu_enable_async_dispatch", False)
    flag = cpu_flag(importlib.metadata.version("jaxlib"))
    xla_flags = os.environ.get("XLA_FLAGS", "")
    if flag and flag.split("=")[0] not in xla_flags:
        os.environ["XLA_FLAGS"] = f"{xla_flags} {flag}".strip()
    if not jax.config.values.get("jax_compilation_cache_dir"):
        jax.config.update("jax_compilation_cache_dir", str(CACHE.expanduser()))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
    for name, level in LOGGERS.items():
        logging.getLogger(name).setLevel(level)
    sys.unraisablehook = without_late_callbacks
    warnings.filterwarnings("ignore", module="orbax|flax")


def configure_training() -> None:
    """`configure`, and Ctrl-C ends a run between two batches, so that its checkpoints are whole."""
    configure()
    interrupt.install()
