"""Kills and cuts of real processes: python -m tests.faults.kills --folder=DIR
--plan=server|sites|cuts|transfers --times=20.

One run in which every round (or every other) is hit; at the end its model must have the bits of the
simulated one, and no round that was reported as done may have been lost. Results go to
DIR/kills.jsonl as they come; --plan=table prints those of DIR/*/kills.jsonl.
"""

import json
import random
import statistics
import time
from pathlib import Path

from absl import app, flags

from tests.faults.consortium import Consortium, simulate, status, wait_for
from tests.faults.relay import Relay

Hit = tuple[
    str, str, list[tuple[str, str]]
]  # name, what the server must be doing, [(kit, processes)]
SERVER: list[Hit] = [
    (f"kill -9 of the server's {what}, while {doing}", doing, kits)
    for doing in ("aggregating", "saving")
    for what, kits in {
        "job process": [("server", "job")],
        "parent process": [("server", "parent")],
        "parent and job process": [("server", "parent"), ("server", "job")],
    }.items()
]
SITES: list[Hit] = [
    ("kill -9 of a site's job process, in mid-epoch", "update", [("birch", "job")]),
    ("kill -9 of a whole site, in mid-epoch", "update", [("birch", "parent"), ("birch", "job")]),
]
CUTS = {"cut of 20 s": 20.0, "cut of 3 min": 180.0}
LARGE = {
    "model": "adapted_sfcn(channels=(96, 200, 470, 640), dropout=0.2)"
}  # 13.5 MB: travels in pieces
SLOW = 20e6  # bits per second of the site that is cut off while it fetches or sends


def over(status: dict, awaited: int) -> bool:
    """Whether the run is past a round, or reports its results."""
    return status.get("round", 0) > awaited or status.get("doing") == "reported"


def strike(consortium: Consortium, workdir: Path, hit: Hit, rng: random.Random) -> dict:
    """Waits for the moment, kills, waits for the next round to be done; what happened."""
    name, doing, kits = hit
    at = wait_for(
        lambda: (s := status(workdir)).get("doing") == doing and s, seconds=600, every=0.001
    )
    time.sleep(rng.uniform(0, 1.0 if doing == "update" else 0.05))
    before, began = status(workdir).get("round", 0), time.monotonic()
    killed = sum(consortium.kill(kit, kind) for kit, kind in kits)
    awaited = at["round"] + (doing == "saving")
    rounds: list[int] = []
    wait_for(
        lambda: rounds.append((s := status(workdir)).get("round", before)) or over(s, awaited),
        seconds=900,
    )
    lost = min(rounds) < before
    return {
        "kind": name,
        "processes": killed,
        "round": before,
        "round_lost": lost,
        "seconds": time.monotonic() - began,
    }


def cut(relay: Relay, workdir: Path, name: str, *, abruptly: bool, way: str = "") -> dict:
    """Cuts one site off in mid-epoch; or while so many bytes go down to it or up from it that it
    must be a transfer.
    """
    wait_for(
        lambda: status(workdir).get("doing") == ("validated" if way == "down" else "update"),
        seconds=600,
        every=0.01,
    )
    if way:
        start = relay.bytes[way]
        wait_for(lambda: relay.bytes[way] > start + 4e6, seconds=600, every=0.01)
    before, began = status(workdir).get("round", 0), time.monotonic()
    relay.cut(abruptly=abruptly)
    time.sleep(CUTS[name])
    relay.mend()
    rounds: list[int] = []
    wait_for(
        lambda: rounds.append(r := status(workdir).get("round", before)) or r > before + 1,
        seconds=1800,
    )
    where = {"": "", "down": ", fetching the model", "up": ", sending its update"}[way]
    return {
        "kind": f"{name} of a site, {'closed' if abruptly else 'silent'}{where}",
        "round": before,
        "round_lost": min(rounds) < before,
        "seconds": time.monotonic() - began,
    }


def table(paths: list[Path]) -> str:
    """Markdown of what several plans noted."""
    told = [json.loads(line) for path in paths for line in path.read_text().splitlines()]
    lines = [
        "| fault | injected | rounds lost | seconds to the next round: median (range) |",
        "|---|---|---|---|",
    ]
    for kind in sorted({x["kind"] for x in told} - {"end"}):
        hits = [x for x in told if x["kind"] == kind]
        seconds = sorted(x["seconds"] for x in hits)
        spread = f"{statistics.median(seconds):.0f} ({seconds[0]:.0f}-{seconds[-1]:.0f})"
        lines.append(f"| {kind} | {len(hits)} | {sum(x['round_lost'] for x in hits)} | {spread} |")
    for end in (x for x in told if x["kind"] == "end"):
        same = "have" if end["bit_exact"] and end["same_losses"] else "do NOT have"
        lines.append(
            f"\nAfter {end['rounds']} rounds the model and all validation losses {same} the bits of"
            " the simulated run."
        )
    return "\n".join(lines)


def main(argv: list[str]) -> None:
    """Runs a plan."""
    del argv
    if PLAN.value == "table":
        return print(table(sorted(Path(FOLDER.value).glob("*/kills.jsonl"))))
    folder, times, rng = Path(FOLDER.value).absolute(), TIMES.value, random.Random(0)
    folder.mkdir(parents=True, exist_ok=True)
    hits = [
        hit for _ in range(times) for hit in {"server": SERVER, "sites": SITES}.get(PLAN.value, [])
    ]
    cuts = [(name, "") for _ in range(times) for name in CUTS] if PLAN.value == "cuts" else []
    if PLAN.value == "transfers":
        cuts = [("cut of 20 s", way) for _ in range(times) for way in ("down", "up")]
    rounds, fields = 2 * len(hits) + 4 * len(cuts) + 2, LARGE if PLAN.value == "transfers" else {}
    consortium = Consortium(folder)
    relay = Relay(consortium.port, bits_per_second=SLOW if fields else 0)
    if cuts:
        consortium.find_server_at("birch", relay.port)
    log, workdir = folder / "kills.jsonl", folder / "run"
    consortium.start()
    supervisor = consortium.run(workdir, rounds=rounds, log=folder / "run.log", **fields)

    def note(told: dict) -> None:
        print(json.dumps(told), flush=True)
        with log.open("a") as file:
            file.write(json.dumps(told) + "\n")

    try:
        wait_for(lambda: status(workdir).get("round", 0) >= 1, seconds=300)
        for hit in hits:
            note(strike(consortium, workdir, hit, rng))
        for k, (name, way) in enumerate(cuts):
            note(cut(relay, workdir, name, abruptly=k // 2 % 2 == 0, way=way))
        wait_for(lambda: (workdir / "results.json").is_file(), seconds=1800)
    finally:
        supervisor.terminate()
        consortium.stop()
    found, expected = (
        json.loads((workdir / "results.json").read_text()),
        simulate(folder / "trees", folder / "sim", rounds=rounds, **fields),
    )
    logs = [f / "runs/federated/repeat0-split0/metrics.jsonl" for f in (workdir, folder / "sim")]
    losses = [
        [json.loads(line)["valid_loss"] for line in log.read_text().splitlines()] for log in logs
    ]
    same = found["variables_sha256"] == expected["variables_sha256"]["federated/repeat0-split0"]
    note(
        {
            "kind": "end",
            "bit_exact": same,
            "same_losses": losses[0] == losses[1],
            "rounds": len(losses[0]),
        }
    )


if __name__ == "__main__":
    FOLDER = flags.DEFINE_string("folder", None, "Work folder.", required=True)
    PLAN = flags.DEFINE_enum(
        "plan", "server", ["server", "sites", "cuts", "transfers", "table"], "What is hit."
    )
    TIMES = flags.DEFINE_integer("times", 20, "How often each kind.")
    app.run(main)
