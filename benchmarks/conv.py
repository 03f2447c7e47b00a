"""Layer by layer, beside PyTorch in both memory layouts: which layers are behind, and by how much.

    python -m benchmarks.conv --peer=PYTHON [--laps=7] [--formulations] [--json=FILE]

Every layer of DenseNet-121 and SFCN that takes time, forward (F) and forward with backward (FB). A
ratio is our time over theirs, paired. --formulations compares the formulations of our convolution
with the chosen one instead: that is what fedbrain/models/convolution chooses from.
"""

import json
from functools import partial
from pathlib import Path

from absl import app, flags

from benchmarks.paired import Result, Worker, contest, machine

PEER = flags.DEFINE_string("peer", "", "Python of an environment with torch.")
LAPS = flags.DEFINE_integer("laps", 7, "Interleaved laps of each.")
OURS = flags.DEFINE_bool("formulations", False, "Compares our formulations with one another.")
JSON = flags.DEFINE_string("json", "", "Where the numbers go.")

# layer, batch, voxels an axis, channels in, out, kernel, stride
LAYERS = [
    ("conv", 2, 64, 1, 64, 7, 2),
    ("conv", 2, 16, 128, 32, 3, 1),
    ("conv", 2, 8, 128, 32, 3, 1),
    ("conv", 2, 4, 128, 32, 3, 1),
    ("conv", 1, 24, 128, 32, 3, 1),
    ("conv", 4, 64, 1, 32, 3, 1),
    ("conv", 4, 32, 32, 64, 3, 1),
    ("conv", 4, 16, 64, 128, 3, 1),
    ("conv", 4, 8, 128, 256, 3, 1),
    ("conv", 8, 26, 1, 32, 3, 1),
    ("conv", 8, 13, 32, 64, 3, 1),
    ("norm", 4, 64, 32, 32, 1, 1),
    ("norm", 2, 16, 256, 256, 1, 1),
    ("max pool", 4, 64, 32, 32, 2, 2),
    ("max pool", 2, 32, 64, 64, 3, 2),
    ("mean pool", 2, 16, 128, 128, 2, 2),
]
FIELDS = ("layer", "batch", "size", "in", "out", "kernel", "stride")


def measure(row: tuple, backward: bool) -> dict:
    """One layer."""
    task = dict(zip(FIELDS, row)) | {"backward": backward}
    task["repeats"] = max(
        1, round(2e7 / (task["batch"] * (task["size"] / task["stride"]) ** 3 * task["out"]))
    )
    ours = "benchmarks.peers.fedbrain_conv"
    contestants = {"fedbrain": partial(Worker, ours, task)}
    if OURS.value:
        for name in ("native", "patches", "windows", "fold inputs", "fold outputs", "winograd"):
            if name != "winograd" or (task["kernel"], task["stride"]) == (3, 1):
                contestants[name] = partial(Worker, ours, {**task, "layer": name})
    for layout in ("contiguous", "channels_last") if PEER.value and not OURS.value else ():
        contestants[layout] = partial(
            Worker, "benchmarks.peers.torch_conv", {**task, "layout": layout}, python=PEER.value
        )
    return {"task": task, "results": contest(contestants, LAPS.value)}


def show(line: dict) -> str:
    """A line of the table."""
    task, results = line["task"], line["results"]
    shape = (
        f"{task['kernel']}^3/{task['stride']} {task['in']}->{task['out']} at"
        f" {task['batch']}x{task['size']}^3"
    )
    milliseconds = 1e3 * results["fedbrain"].seconds / task["repeats"]
    text = (
        f"{task['layer'] + ' ' + shape:36s} {'FB' if task['backward'] else 'F ':2s}"
        f" {milliseconds:8.2f} ms"
    )
    for other, r in results.items():
        if other != "fedbrain":
            ratio = (
                f"{r.ratio:.2f} ({r.low:.2f}-{r.high:.2f})"
                if isinstance(r, Result)
                else "did not run"
            )
            text += f"   {other} {ratio}"
    return text


def main(argv: list[str]) -> None:
    """Prints a line per layer and direction."""
    del argv
    lines = []
    for row in LAYERS:
        if OURS.value and row[0] != "conv":
            continue
        for backward in (False,) if OURS.value else (False, True):
            lines.append(measure(row, backward))
            print(show(lines[-1]), flush=True)
    if JSON.value:
        Path(JSON.value).write_text(
            json.dumps({"machine": machine(), "lines": lines}, indent=2) + "\n"
        )


if __name__ == "__main__":
    app.run(main)
