"""Forward, backward and Adam of one training step, beside PyTorch and MONAI in both memory layouts.

    python -m benchmarks.step --peer=PYTHON [--rows=densenet121@64x2,...] [--rounds=15]
    [--dtype=bfloat16] [--json=FILE]

PYTHON is the interpreter of an environment with torch and monai (benchmarks/README.md). A ratio is
our time over theirs,
paired within a round: below 1 is faster. The last column is our peak memory over that of their
faster layout.
"""

import json
from functools import partial
from pathlib import Path

from absl import app, flags

from benchmarks.paired import Result, Worker, contest, machine

ROWS = "densenet121@64x2,densenet121@96x1,sfcn@64x4,adapted_sfcn@64x4,adapted_sfcn@26x8"

PEER = flags.DEFINE_string("peer", "", "Python of an environment with torch and monai.")
ONLY = flags.DEFINE_list("rows", ROWS.split(","), "model@sizexbatch")
ROUNDS = flags.DEFINE_integer("rounds", 15, "Interleaved laps of each.")
DTYPES = ("float32", "bfloat16")  # of the computation; parameters are float32
DTYPE = flags.DEFINE_enum("dtype", "float32", DTYPES, "Of the computation; theirs by autocast.")
JSON = flags.DEFINE_string("json", "", "Where the numbers go.")


def measure(row: str) -> dict:
    """One row of the table."""
    model, numbers = row.split("@")
    size, batch = (int(n) for n in numbers.split("x"))
    task = {"model": model, "size": size, "batch": batch, "steps": 1 if size > 32 else 10}
    task["dtype"] = DTYPE.value
    contestants = {"fedbrain": partial(Worker, "benchmarks.peers.fedbrain_step", task)}
    for layout in ("contiguous", "channels_last") if PEER.value else ():
        contestants[layout] = partial(
            Worker, "benchmarks.peers.torch_step", {**task, "layout": layout}, python=PEER.value
        )
    results = contest(contestants, ROUNDS.value)
    return {"row": row, "steps": task["steps"], "results": results}


def show(line: dict) -> str:
    """A line of the table."""
    results, steps = line["results"], line["steps"]
    ours = results["fedbrain"]
    text = f"{line['row']:20s} {ours.seconds / steps:8.3f} s {ours.told['set_up_s']:6.1f} s"
    others = {n: r for n, r in results.items() if n != "fedbrain"}
    for r in others.values():
        text += (
            f"   {r.ratio:5.2f} ({r.low:.2f}-{r.high:.2f})"
            if isinstance(r, Result)
            else f"   {r:18.18s}"
        )
    ran = [r for r in others.values() if isinstance(r, Result)]
    if ran:
        faster = min(ran, key=lambda r: r.seconds)
        text += f"   {ours.peak_bytes / 2**30:5.2f} GiB {ours.peak_bytes / faster.peak_bytes:5.2f}"
    return text


def main(argv: list[str]) -> None:
    """Prints a line per row."""
    del argv
    print(
        "row                      ours   set-up   of contiguous     of channels-last     memory  of"
        " faster"
    )
    lines = []
    for row in ONLY.value:
        lines.append(measure(row))
        print(show(lines[-1]), flush=True)
    if JSON.value:
        Path(JSON.value).write_text(
            json.dumps({"machine": machine(), "lines": lines}, indent=2) + "\n"
        )


if __name__ == "__main__":
    app.run(main)
