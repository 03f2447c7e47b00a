"""Paired, interleaved timing of programs that cannot live in one process.

It needs nothing but the standard library.

Every contestant is a worker: a process of its own (its own interpreter, its own environment) that
sets up once and then runs one lap whenever it is told to. The contest goes round by round, each
contestant one lap, so that whatever else the machine does meets all of them; ratios are taken
within a round and their median is reported.
"""

import ctypes
import json
import os
import platform
import random
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

# The same for every contestant, as our entry points set it (`fedbrain.cli.allocator`): freed memory
# stays with the process.
_KEEP = {"mmap_max": 0, "trim_threshold": 2**31 - 1, "arena_max": 1, "mxfast": 0}
ALLOCATOR = {
    "GLIBC_TUNABLES": ":".join(f"glibc.malloc.{name}={value}" for name, value in _KEEP.items())
}


# Seconds of laps before the one that is timed: others have run since the last one, and the first
# steps after a rest take up to twice as long. A training does not rest between steps.
WARM_S = 0.3


def peak_bytes() -> int:
    """The process's largest resident size since `forget_peak`."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.split("VmHWM:")[1].split()[0])


def forget_peak() -> None:
    """Restarts the measurement of memory after compilation; freed memory is returned first."""
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")


def versions(*packages: str) -> dict[str, str]:
    """What is installed of these."""
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def serve(set_up: Callable[[dict], Callable[[], Any]], *packages: str) -> None:
    """The worker's side: reads its task, then answers every line with the seconds of a lap.

    Args:
      set_up: task -> lap. A lap that returns a number gives its own seconds.
      packages: whose versions are told.
    """
    told = {"versions": versions(*packages), "python": platform.python_version()}
    try:
        start = time.perf_counter()
        lap = set_up(json.loads(sys.argv[1]))
        lap()
        told["set_up_s"] = time.perf_counter() - start
        lap()
        forget_peak()
    except Exception as error:
        print(json.dumps({"error": f"{type(error).__name__}: {str(error)[:300]}"}), flush=True)
        raise
    print(json.dumps(told), flush=True)
    for _ in sys.stdin:
        began = time.perf_counter()
        while time.perf_counter() - began < WARM_S:
            lap()
        start = time.perf_counter()
        own = lap()
        took = own if isinstance(own, float) else time.perf_counter() - start
        print(json.dumps({"seconds": took, "peak_bytes": peak_bytes()}), flush=True)


class Worker:
    """The other side of `serve`."""

    def __init__(
        self,
        module: str,
        task: Mapping[str, Any],
        *,
        python: str = sys.executable,
        environment: Mapping[str, str] = ALLOCATOR,
    ):
        self.command = [python, "-u", "-m", module, json.dumps(dict(task))]
        env = {**os.environ, **environment}
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env
        )
        self.told = self._read()

    def _read(self) -> dict:
        assert self.process.stdout
        for line in self.process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        return {"error": f"ended with code {self.process.wait()}"}

    def lap(self) -> dict:
        """Runs one lap: {"seconds", "peak_bytes"}."""
        assert self.process.stdin
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        lap = self._read()
        if "error" in lap:
            raise RuntimeError(
                f"{' '.join(self.command[3:])}: {lap['error']} in the middle of a contest."
            )
        return lap

    def close(self) -> None:
        """Ends the process."""
        self.process.kill()
        self.process.wait()


class Result(NamedTuple):
    """Of one contestant."""

    seconds: float  # median lap
    ratio: float  # median over rounds of our time / its time; 1 for ourselves
    low: float  # 95 % bootstrap interval of that median
    high: float
    peak_bytes: int  # largest resident size during laps
    told: dict  # versions, seconds until the first lap was done


def median_interval(values: Sequence[float], draws: int = 2000) -> tuple[float, float, float]:
    """(median, low, high): a bootstrap 95 % interval."""
    rng = random.Random(0)
    medians = sorted(statistics.median(rng.choices(values, k=len(values))) for _ in range(draws))
    return statistics.median(values), medians[int(0.025 * draws)], medians[int(0.975 * draws)]


def contest(
    contestants: Mapping[str, Callable[[], Worker]], rounds: int
) -> dict[str, Result | str]:
    """Runs a contest; the first contestant is ours, to which the others are compared.

    Returns:
      name -> result, or the sentence with which it did not run.

    Raises:
      RuntimeError: when ours did not run, or a worker ended in the middle.
    """
    workers = {name: start() for name, start in contestants.items()}
    results: dict[str, Result | str] = {
        name: w.told["error"] for name, w in workers.items() if "error" in w.told
    }
    ours_name = next(iter(contestants))
    if ours_name in results:
        raise RuntimeError(f"{ours_name} itself did not run: {results[ours_name]}")
    running = {name: w for name, w in workers.items() if name not in results}
    laps: dict[str, list[dict]] = {name: [] for name in running}
    try:
        for number in range(rounds):
            names = list(running)
            for name in names if number % 2 else names[::-1]:
                laps[name].append(running[name].lap())
    finally:
        for worker in workers.values():
            worker.close()
    ours = [lap["seconds"] for lap in laps[ours_name]]
    for name, its in laps.items():
        seconds = [lap["seconds"] for lap in its]
        ratio = median_interval([a / b for a, b in zip(ours, seconds)])
        peak = max(lap["peak_bytes"] for lap in its)
        results[name] = Result(statistics.median(seconds), *ratio, peak, running[name].told)
    return {name: results[name] for name in contestants}


def machine() -> dict[str, Any]:
    """Where this runs."""
    cpu = re.findall(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())[0]
    memory = int(Path("/proc/meminfo").read_text().split()[1]) // 2**20
    return {
        "cpu": cpu,
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": memory,
        "date": time.strftime("%Y-%m-%d"),
    }
