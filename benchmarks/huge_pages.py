"""What large blocks in huge pages gain, for which commands start anew.

    python -m benchmarks.huge_pages [--rounds=9] [--json=FILE]

The same training steps, with `GLIBC_TUNABLES=glibc.malloc.hugetlb=1` and with 0, which is how a
user switches it off. A ratio is the time with huge pages over that without, paired.
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
            "huge": partial(start, environment=ALLOCATOR),
            "system": partial(start, environment=SYSTEM),
        }
        results = contest(contestants, ROUNDS.value)
        huge, system = results["huge"], results["system"]
        assert isinstance(huge, Result)
        assert isinstance(system, Result)
        peaks = f"{huge.peak_bytes / MIB:,.0f} MiB, {system.peak_bytes / MIB:,.0f} without"
        print(
            f"{model} {size}^3, batch {batch}: {huge.seconds / steps:.3f} s a step,"
            f" {system.ratio:.2f} ({system.low:.2f}-{system.high:.2f}) of that without huge pages;"
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
