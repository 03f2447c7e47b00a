"""What made the results of a work directory, in `made_by.json`: versions, command, device, times.

`results.json` holds none of it, so that two runs of one experiment can be compared bit by bit.
"""

import datetime
import importlib.metadata
import os
import platform
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import jax

import fedbrain
from fedbrain.experiments.leases import held
from fedbrain.experiments.stored_json import read_stored
from fedbrain.experiments.workdir import write_json

PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


def commit() -> str | None:
    """The commit of this program, with `-dirty` after local changes; None where it is installed
    without its repository.
    """
    root = Path(fedbrain.__file__).parents[1]
    if not (root / ".git").exists():
        return None
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40"]
    command += ["--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def describe_process() -> dict[str, Any]:
    """Versions, command and device of this process."""
    devices = jax.devices()
    return {
        "fedbrain": fedbrain.__version__,
        "commit": commit(),
        "command": shlex.join(sys.orig_argv),
        **{name: importlib.metadata.version(name) for name in PACKAGES},
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "device": f"{len(devices)} x {devices[0].device_kind}",
        "cpu_cores": os.cpu_count(),
    }


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _read(path: Path) -> list[dict[str, Any]]:
    """Processes that were at work before; none where the file is cut."""
    try:
        return [dict(entry) for entry in read_stored(path, "who made it")["processes"]]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return []


@contextmanager
def recorded(workdir: Path, *, shared: bool = False) -> Iterator[None]:
    """Writes `made_by.json`: one entry for each process that has worked on the results, in order.

    An entry without an end is of a process that is still at work, or was killed.

    Args:
      workdir: that this process holds, or one of several processes that share it.
      shared: whether it is shared.
    """
    path, began = workdir / "made_by.json", time.monotonic()
    entry = describe_process() | {"started": _now(), "ended": None, "outcome": None}

    def write(changed: dict[str, Any]) -> None:
        with held(workdir, wait=True) if shared else nullcontext():
            entries = _read(path)
            place = entries.index(entry) if entry in entries else len(entries)
            write_json(path, {"processes": [*entries[:place], changed, *entries[place + 1 :]]})

    write(entry)
    outcome = "failed"
    try:
        yield
        outcome = "finished"
    except KeyboardInterrupt:
        outcome = "interrupted"
        raise
    finally:
        seconds = round(time.monotonic() - began, 1)
        write(entry | {"ended": _now(), "outcome": outcome, "seconds": seconds})
