"""How long a user waits: help, the quickstart, and the first step of DenseNet-121.

    python -m benchmarks.startup [--laps=3] [--json=FILE]

Each in a process of its own, with an empty folder of compiled programs (cold) and with what the
process before has left there (warm). `--help` never compiles. Programs are those of JAX's log;
stored are those that took long enough to be kept in the folder.
"""

import json
import math
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from absl import app, flags

from benchmarks.paired import ALLOCATOR, Worker, machine

LAPS = flags.DEFINE_integer("laps", 3, "Cold starts, each with a warm one after it.")
JSON = flags.DEFINE_string("json", "", "Where the numbers go.")

STEP = {"model": "densenet121", "size": 64, "batch": 2, "steps": 1}
NEEDED = re.compile(r"Finished XLA compilation of (jit\([^)]*\)|\S+)")
LOGS = "runs/*/*/metrics.jsonl"  # of a work directory; a line for each round


class Start(NamedTuple):
    """One start."""

    first_round_s: float  # until the first line of the log is there; NaN: it has none
    all_s: float
    cpu_s: float
    needed: int  # programs
    stored: int  # programs that are new in the folder
    twice: dict[str, int]  # programs of one name that were needed more than once


def run(
    command: list[str],
    environment: Mapping[str, str] = {},  # beside that of this process
    workdir: Path | None = None,  # whose first round is awaited
    programs: Path | None = None,  # the folder of compiled ones
) -> Start:
    """A command of fedbrain after `python -m`, from its start to its end."""
    began, first, before = time.monotonic(), math.nan, os.times()
    stored = len(list(programs.glob("*"))) if programs else 0
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            env=os.environ | dict(environment),
            stdout=said,
            stderr=subprocess.STDOUT,
        )
        while process.poll() is None:
            logs = workdir.glob(LOGS) if workdir else ()
            if math.isnan(first) and any(log.stat().st_size for log in logs):
                first = time.monotonic() - began
            time.sleep(0.02)
        took, after = time.monotonic() - began, os.times()
        said.seek(0)
        text = said.read()
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}: {text[-500:]}")
    names = Counter(NEEDED.findall(text))
    cpu = after.children_user + after.children_system - before[2] - before[3]
    stored = len(list(programs.glob("*"))) - stored if programs else 0
    twice = {name: number for name, number in names.items() if number > 1}
    return Start(first, took, cpu, names.total(), stored, twice)


def quickstart(folder: Path, programs: Path) -> Start:
    """All regimes and rounds of the quickstart."""
    environment = {"JAX_COMPILATION_CACHE_DIR": str(programs), "JAX_LOG_COMPILES": "1"}
    environment |= {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.5"}
    command = ["fedbrain.main", "--config=quickstart", f"--workdir={folder}"]
    return run(command, environment, folder, programs)


def first_step(programs: Path) -> float:
    """Seconds from the start of a process to the end of DenseNet-121's first step."""
    environment = {**ALLOCATOR, "JAX_COMPILATION_CACHE_DIR": str(programs)}
    began = time.monotonic()
    worker = Worker("benchmarks.peers.fedbrain_step", STEP, environment=environment)
    took = time.monotonic() - began
    later = worker.lap()["seconds"]  # the worker answers after its second step
    worker.close()
    return took - later


def spread(values: list[float]) -> str:
    """Median and range."""
    return f"{statistics.median(values):.1f} ({min(values):.1f}-{max(values):.1f})"


def main(argv: list[str]) -> None:
    """Prints a line for each kind of start."""
    del argv
    helps = [run(["fedbrain", "--help"]).all_s for _ in range(5)]
    print(
        f"--help: {statistics.median(helps):.2f} s ({min(helps):.2f}-{max(helps):.2f})", flush=True
    )
    starts: dict[str, list[Start]] = {"cold": [], "warm": []}
    steps: dict[str, list[float]] = {"cold": [], "warm": []}
    for _ in range(LAPS.value):
        with tempfile.TemporaryDirectory() as name:
            for kind in starts:
                folder = Path(name)
                starts[kind].append(quickstart(folder / kind, folder / "programs"))
                steps[kind].append(first_step(folder / "steps"))
    for kind, laps in starts.items():
        told = {
            key: spread([float(getattr(lap, key)) for lap in laps]) for key in Start._fields[:3]
        }
        last = laps[-1]
        print(
            f"quickstart, {kind}: first round after {told['first_round_s']} s, all in"
            f" {told['all_s']} s ({told['cpu_s']} CPU-s); {last.needed} programs, {last.stored}"
            f" stored; several of a name: {last.twice}",
            flush=True,
        )
        print(f"DenseNet-121, {kind}: first step after {spread(steps[kind])} s", flush=True)
    if JSON.value:
        numbers = {"machine": machine(), "help_s": helps, "quickstart": starts, "step_s": steps}
        Path(JSON.value).write_text(json.dumps(numbers, indent=2) + "\n")


if __name__ == "__main__":
    app.run(main)
