"""What grows with the number of clients and of scans, and how fast.

    python -m benchmarks.scale [--clients=3,30,300,3000] [--scans=250,2000] [--laps=5]
    [--json=FILE]

Clients: rounds in which every client takes one step of a small 2-D network; seconds and memory of a
round, and their slope (1: twice the clients take twice as long). Scans: a cache of noise at 130^3,
SYNTHETIC, read as augmented batches of 8; bytes on the disk, scans per second, memory. Sizes take
turns.
"""

import json
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
from absl import app, flags

from benchmarks.paired import Result, Worker, contest, machine, median_interval

CLIENTS = flags.DEFINE_list("clients", ["3", "30", "300", "3000"], "How many train each round.")
SCANS = flags.DEFINE_list("scans", ["250", "2000"], "How many lie in the cache.")
LAPS = flags.DEFINE_integer("laps", 5, "Interleaved laps of each.")
JSON = flags.DEFINE_string("json", "", "Where the numbers go.")
SIZE = 130  # voxels an axis
MIB = 2**20


def slope(numbers: list[int], values: list[float]) -> float:
    """Of the straight line through the logarithms.

    >>> slope([1, 10, 100], [2.0, 20.0, 200.0])
    1.0
    """
    return round(float(np.polyfit(np.log(numbers), np.log(values), 1)[0]), 6)


def rounds() -> dict:
    """Time and memory of a round, by the number of clients."""
    numbers = [int(n) for n in CLIENTS.value]
    task = {"case": "pictures", "steps": 1, "rounds": 1}
    workers = {
        str(n): partial(
            Worker, "benchmarks.peers.fedbrain_round", {**task, "clients": n, "cohort": n}
        )
        for n in numbers
    }
    results = {name: r for name, r in contest(workers, LAPS.value).items() if isinstance(r, Result)}
    for name, r in results.items():
        each = 1000 * r.seconds / int(name)
        print(
            f"{name:>5s} clients: {r.seconds:8.3f} s a round, {each:6.2f} ms a client, at most"
            f" {r.peak_bytes / MIB:,.0f} MiB",
            flush=True,
        )
    seconds = [results[str(n)].seconds for n in numbers]
    print(f"slope of the time over clients: {slope(numbers, seconds):.2f}", flush=True)
    return results


def cache(storage: str, scans: int) -> dict:
    """A cache of one size."""
    with tempfile.TemporaryDirectory() as folder:
        task = {"folder": folder, "scans": scans, "size": SIZE, "storage": storage}
        worker = Worker("benchmarks.peers.fedbrain_cache", task)
        laps = [worker.lap() for _ in range(LAPS.value)]
        worker.close()
        size = sum(path.stat().st_size for path in Path(folder).iterdir())
    rate, low, high = median_interval([scans // 8 * 8 / lap["seconds"] for lap in laps])
    peaks = [lap["peak_bytes"] / MIB for lap in laps]
    print(
        f"{scans:5d} scans as {storage}: {size / 2**30:.1f} GiB on the disk, {rate:.0f} scans/s"
        f" ({low:.0f}-{high:.0f}), at most {peaks[0]:,.0f} MiB after the first epoch and"
        f" {peaks[-1]:,.0f} after the last",
        flush=True,
    )
    return {"storage": storage, "scans": scans, "bytes": size, "laps": laps}


def main(argv: list[str]) -> None:
    """Prints a line for each size."""
    del argv
    by_clients = rounds()
    by_scans = [cache(kind, int(n)) for n in SCANS.value for kind in ("float32", "int8")]
    if JSON.value:
        numbers = {"machine": machine(), "clients": by_clients, "scans": by_scans}
        Path(JSON.value).write_text(json.dumps(numbers, indent=2) + "\n")


if __name__ == "__main__":
    app.run(main)
