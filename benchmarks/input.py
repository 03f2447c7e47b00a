"""Scans per second: cold, cached, and as augmented batches, beside MONAI's data sets.

    python -m benchmarks.input --root=BIDS_FOLDER [--peer=PYTHON] [--scans=48] [--laps=5]
    [--json=FILE]

Two sizes: 64^3 at 3 mm and 130^3 at 1.5 mm. A ratio is our time over theirs, paired.
"""

import json
from functools import partial
from pathlib import Path

from absl import app, flags

from benchmarks.paired import Result, Worker, contest, machine

ROOT = flags.DEFINE_string("root", None, "A BIDS tree with T1w images.", required=True)
PEER = flags.DEFINE_string("peer", "", "Python of an environment with torch and monai.")
SCANS = flags.DEFINE_integer("scans", 48, "Of the tree, in order.")
LAPS = flags.DEFINE_integer("laps", 5, "Interleaved laps of each.")
JSON = flags.DEFINE_string("json", "", "Where the numbers go.")

SIZES = {64: 3.0, 130: 1.5}  # voxels an axis -> mm


def measure(size: int, stage: str) -> dict:
    """One stage at one size, against both data sets."""
    task = {
        "root": ROOT.value,
        "stage": stage,
        "size": size,
        "voxel_mm": SIZES[size],
        "scans": SCANS.value,
    }
    contestants = {"fedbrain": partial(Worker, "benchmarks.peers.fedbrain_input", task)}
    for dataset in ("PersistentDataset", "CacheDataset") if PEER.value else ():
        peer = {**task, "dataset": dataset}
        contestants[dataset] = partial(
            Worker, "benchmarks.peers.monai_input", peer, python=PEER.value
        )
    if stage == "cold":
        contestants["gunzip alone"] = partial(
            Worker, "benchmarks.peers.fedbrain_input", {**task, "stage": "gunzip"}
        )
    results = contest(contestants, LAPS.value)
    for name, r in results.items():
        if isinstance(r, Result):
            rate = (
                f"{SCANS.value / r.seconds:9.1f} scans/s   of its time {r.ratio:.2f}"
                f" ({r.low:.2f}-{r.high:.2f})"
            )
            print(f"{size:4d}^3 {stage:9s} {name:18s} {rate}", flush=True)
        else:
            print(f"{size:4d}^3 {stage:9s} {name:18s} did not run: {r}")
    return {"size": size, "stage": stage, "scans": SCANS.value, "results": results}


def main(argv: list[str]) -> None:
    """Prints a line per stage and contestant."""
    del argv
    lines = [measure(size, stage) for size in SIZES for stage in ("cold", "cached", "pipeline")]
    if JSON.value:
        Path(JSON.value).write_text(
            json.dumps({"machine": machine(), "lines": lines}, indent=2) + "\n"
        )


if __name__ == "__main__":
    app.run(main)
