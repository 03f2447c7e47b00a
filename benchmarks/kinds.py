"""Where the time of a training step goes, by kind of operation: ours and PyTorch's.

    python -m benchmarks.kinds [--row=densenet121@64x2] [--peer=PYTHON] [--laps=10] [--json=FILE]

Each program is profiled alone, by its own profiler. Ours counts the time of every operation on
every thread; PyTorch's sees the thread that calls. So a number of seconds is the share of the
profiled time, times the median step without a profiler, for which programs take turns.
"""

import json
from functools import partial
from pathlib import Path

from absl import app, flags

from benchmarks.paired import Result, Worker, contest, machine, median_interval

ROW = flags.DEFINE_string("row", "densenet121@64x2", "model@sizexbatch")
PEER = flags.DEFINE_string("peer", "", "Python of an environment with torch and monai.")
LAPS = flags.DEFINE_integer("laps", 10, "Profiled steps of each.", lower_bound=2)
JSON = flags.DEFINE_string("json", "", "Where the numbers go.")
KINDS = {
    "kernels": "convolutions with a kernel",
    "products": "1x1x1 convolutions and dense layers",
    "normalisation": "batch normalisation, with its statistics",
    "relu": "ReLU",
    "pooling": "pooling",
    "copies": "copies: concatenation, slices, layouts",
    "optimizer": "Adam, and the guard against numbers that are not finite",
    "other": "other",
}


def shares(worker: Worker, laps: int) -> dict[str, list[float]]:
    """Kind -> its share of each profiled lap."""
    told = [worker.lap()["kinds"] for _ in range(laps)]
    return {kind: [lap.get(kind, 0.0) / sum(lap.values()) for lap in told] for kind in KINDS}


def main(argv: list[str]) -> None:
    """Prints the table."""
    del argv
    model, numbers = ROW.value.split("@")
    size, batch = (int(n) for n in numbers.split("x"))
    task = {"model": model, "size": size, "batch": batch, "steps": 1}
    layouts = ("contiguous", "channels_last") if PEER.value else ()
    modules = {"fedbrain": ("fedbrain", task, {})}
    modules |= {
        name: ("torch", {**task, "layout": name}, {"python": PEER.value}) for name in layouts
    }
    timed = {
        name: partial(Worker, f"benchmarks.peers.{library}_step", told, **how)
        for name, (library, told, how) in modules.items()
    }
    results = contest(timed, LAPS.value)
    for name, result in results.items():
        if isinstance(result, str):
            print(f"{name} did not run: {result}")
    seconds = {n: result.seconds for n, result in results.items() if isinstance(result, Result)}
    found = {}
    for name in seconds:
        library, told, how = modules[name]
        worker = Worker(f"benchmarks.peers.{library}_kinds", told, **how)
        found[name] = shares(worker, LAPS.value)
        worker.close()
    print(f"{ROW.value}: seconds a step, and in per cent of it the median and its 95 % interval")
    print(f"{'':58s}" + "".join(f"{name:>26s}" for name in found))
    print(f"{'step':58s}" + "".join(f"{seconds[name]:>26.3f}" for name in found))
    for kind, words in KINDS.items():
        line = f"{words:58s}"
        for name, of in found.items():
            middle, low, high = (100 * x for x in median_interval(of[kind]))
            line += f"{seconds[name] * middle / 100:8.3f} {middle:4.1f} ({low:4.1f}-{high:4.1f})"
        print(line)
    if JSON.value:
        told = {"machine": machine(), "row": ROW.value, "seconds": seconds, "shares": found}
        Path(JSON.value).write_text(json.dumps(told, indent=2) + "\n")


if __name__ == "__main__":
    app.run(main)
