"""What it gains that freed memory stays with the process.

    python -m benchmarks.allocator [--rounds=9] [--json=FILE]

The same training steps, with the settings of our commands and with the C library's own, which a
user keeps with `GLIBC_TUNABLES=glibc.malloc.hugetlb=0`. A ratio is the time with kept memory over
that without, paired.
"""

import json
from functools import partial
from pathlib import Path

from absl import app, flags

from benchmarks.paired import ALLOCATOR, Result, Worker, contest, machine

ROUNDS = flags.DEFINE_integer("rounds", 9, "Interleaved laps of each.")
JSON = flags.DEFINE_string("json", "", "Where the numbers go.")
SYSTEM = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=0"}
MIB = 2**20
STEPS = (("densenet121", 64, 2, 1), ("sfcn", 64, 4, 1), ("adapted_sfcn", 26, 8, 5))


def main(argv: list[str]) -> None:
    """Prints a line for each network."""
    del argv
    lines = []
    for model, size, batch, steps in STEPS:
        task = {"model": model, "size": size, "batch": batch, "steps": steps}
        start = partial(Worker, "benchmarks.peers.fedbrain_step", task)
        contestants = {
            "kept": partial(start, environment=ALLOCATOR),
            "system": partial(start, environment=SYSTEM),
        }
        results = contest(contestants, ROUNDS.value)
        kept, system = results["kept"], results["system"]
        assert isinstance(kept, Result)
        assert isinstance(system, Result)
        peaks = f"{kept.peak_bytes / MIB:,.0f} MiB, {system.peak_bytes / MIB:,.0f} without"
        print(
            f"{model} {size}^3, batch {batch}: {kept.seconds / steps:.3f} s a step,"
            f" {system.ratio:.2f} ({system.low:.2f}-{system.high:.2f}) of that without;"
            f" at most {peaks}",
            flush=True,
        )
        lines.append({"task": task, "results": results})
    if JSON.value:
        Path(JSON.value).write_text(
            json.dumps({"machine": machine(), "lines": lines}, indent=2) + "\n"
        )


if __name__ == "__main__":
    app.run(main)
