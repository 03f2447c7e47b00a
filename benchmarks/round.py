"""Rounds beside a plain PyTorch loop, Flower, pfl-research and FedJAX, and growth of their time.

    python -m benchmarks.round --peer=PYTHON [--flower=PYTHON] [--pfl=PYTHON] [--fedjax=PYTHON]
    [--laps=7] [--json=FILE]

(a) 3 clients, adapted SFCN at 26^3, 10 local steps of batch 8. (b) 100 clients, a small 2-D network
on 28 x 28 pictures, 10 per round, 10 local steps of batch 10. Ratios are our time over theirs,
paired. Then 500 rounds of (a) with small steps: the time of late rounds over that of early ones,
and the process's memory; and rounds of 2, 4, 8 clients and 5, 10, 20 steps.
"""

import json
import statistics
from functools import partial
from pathlib import Path

from absl import app, flags

from benchmarks.paired import Result, Worker, contest, machine

PEER = flags.DEFINE_string("peer", "", "Python of an environment with torch and monai.")
FLOWER = flags.DEFINE_string(
    "flower", "", "Python of an environment with torch and flwr[simulation]."
)
PFL = flags.DEFINE_string("pfl", "", "Python of an environment with torch and pfl[pytorch].")
FEDJAX = flags.DEFINE_string("fedjax", "", "Python of an environment with fedjax.")
LAPS = flags.DEFINE_integer("laps", 7, "Interleaved laps of each.")
ROUNDS = flags.DEFINE_integer("rounds", 500, "Of the test of growth.")
JSON = flags.DEFINE_string("json", "", "Where the numbers go.")

CASES = {
    "volumes": {"case": "volumes", "clients": 3, "cohort": 3, "steps": 10, "rounds": 1},
    "pictures": {"case": "pictures", "clients": 100, "cohort": 10, "steps": 10, "rounds": 20},
}


def compare(case: str) -> dict:
    """One case against every peer that is there."""
    task = CASES[case]
    contestants = {"fedbrain": partial(Worker, "benchmarks.peers.fedbrain_round", task)}
    peers = {"torch": PEER.value, "flower": FLOWER.value, "pfl": PFL.value, "fedjax": FEDJAX.value}
    for name, python in peers.items():
        if python:
            contestants[name] = partial(
                Worker, f"benchmarks.peers.{name}_round", task, python=python
            )
    results = contest(contestants, LAPS.value)
    for name, r in results.items():
        if isinstance(r, Result):
            each = r.seconds / task["rounds"]
            print(
                f"{case:10s} {name:12s} {each:8.4f} s a round   of its time {r.ratio:.2f}"
                f" ({r.low:.2f}-{r.high:.2f})",
                flush=True,
            )
        else:
            print(f"{case:10s} {name:12s} did not run: {r}")
    return {"case": case, "task": task, "results": results}


def timed(laps: int, **changes: int) -> list[dict]:
    """Our rounds one by one: seconds and peak memory."""
    worker = Worker("benchmarks.peers.fedbrain_round", {**CASES["volumes"], **changes})
    try:
        return [worker.lap() for _ in range(laps)]
    finally:
        worker.close()


def median_seconds(laps: list[dict]) -> float:
    """Of some rounds."""
    return statistics.median(lap["seconds"] for lap in laps)


def growth() -> dict:
    """Time and memory over many rounds, and over clients and steps."""
    laps = timed(ROUNDS.value, steps=1)
    tenth = len(laps) // 10
    slower = median_seconds(laps[-tenth:]) / median_seconds(laps[:tenth])
    larger = laps[-1]["peak_bytes"] / laps[tenth]["peak_bytes"]
    print(
        f"{len(laps)} rounds: the last tenth takes {slower:.2f} of the time of the first, memory"
        f" {larger:.2f}"
    )
    by_clients = {n: median_seconds(timed(5, clients=n, cohort=n)) for n in (2, 4, 8)}
    by_steps = {n: median_seconds(timed(5, steps=n)) for n in (5, 10, 20)}
    print("seconds by clients", {n: round(s, 3) for n, s in by_clients.items()}, end=", ")
    print("by steps", {n: round(s, 3) for n, s in by_steps.items()})
    return {"slower": slower, "larger": larger, "clients": by_clients, "steps": by_steps}


def main(argv: list[str]) -> None:
    """Prints a line per contestant."""
    del argv
    lines = [compare(case) for case in CASES]
    grown = growth()
    if JSON.value:
        Path(JSON.value).write_text(
            json.dumps({"machine": machine(), "lines": lines, "growth": grown}, indent=2) + "\n"
        )


if __name__ == "__main__":
    app.run(main)
