"""What a training step needs of accelerators that are not there: compiled, not measured.

    python -m benchmarks.ahead_of_time [--devices=h100,a100] [--sizes=64] [--json=FILE]

For every network, size, precision and accelerator, with batch 8: whether the step of one client
fits in the part of the memory that `fedbrain plan` counts with, its memory, its operations, and the
seconds that compiling took. `--several` compiles instead the steps of four clients over 4 devices,
that of one client whose batch they share, and the steps and the exchange of 2 processes of 4
devices. What FILE has is not compiled again. GPUs need the extra cuda12 or cuda13, v5e needs tpu.
"""

import itertools
import json
from pathlib import Path
from typing import NamedTuple

import jax
from absl import app, flags

from fedbrain.configs import base
from fedbrain.data.pipeline import example_batch
from fedbrain.experiments.compiled import outline_variables
from fedbrain.experiments.config import read_experiment
from fedbrain.experiments.cost import FORWARD_AND_BACKWARD
from fedbrain.models.layers_outline import layers_of
from fedbrain.processes.peers import PIECE
from fedbrain.training.accelerators import ACCELERATORS, describe
from fedbrain.training.ahead_of_time import Needs, gather_needs, step_needs
from fedbrain.training.memory_plan import SHARE
from fedbrain.types import Algorithm, Batch, Variables

DEVICES = flags.DEFINE_list("devices", list(ACCELERATORS), "Rows of ACCELERATORS.")
SIZES = flags.DEFINE_list("sizes", ["64", "96", "130"], "Edges of the cubic volumes, in voxels.")
NETWORKS = flags.DEFINE_list("networks", ["adapted_sfcn", "sfcn", "densenet121"], "Of MODELS.")
BATCH = flags.DEFINE_integer("batch", 8, "Volumes of a step.")
SEVERAL = flags.DEFINE_bool("several", False, "Over several devices and processes.")
JSON = flags.DEFINE_string("json", "", "Where the numbers go, a line each.")
FIELDS = ("device", "network", "size", "over")


def networks() -> list[str]:
    """Calls of MODELS in both precisions; with remat where the network has it."""
    calls = []
    for name, dtype in itertools.product(NETWORKS.value, ("float32", "bfloat16")):
        calls.append(f"{name}(dtype='{dtype}')")
        if name == "densenet121":
            calls.append(f"{name}(dtype='{dtype}', remat=True)")
    return calls


class Step(NamedTuple):
    """The step of FedAvg, as shapes."""

    algorithm: Algorithm
    variables: Variables
    batch: Batch
    operations: float  # forward and backward, without what remat computes again


def step_of(network: str, size: int) -> Step:
    """Nothing is computed.

    Args:
      network: a call of MODELS.
      size: edge of a volume, in voxels.
    """
    config = base.get_config()
    config.sites = {"amber": "synthetic('amber', subjects=8)"}
    config.model, config.client.batch_size = network, BATCH.value
    experiment = read_experiment(config)
    batch = example_batch((size, size, size, 1), BATCH.value, experiment.inputs)
    variables = outline_variables(experiment, (size, size, size, 1))
    layers = layers_of(experiment.task, variables, batch)
    operations = FORWARD_AND_BACKWARD * sum(layer.operations for layer in layers)
    return Step(experiment.algorithm, variables, batch, operations)


def cases() -> list[dict]:
    """One line of the table each."""
    rows = itertools.product(map(int, SIZES.value), networks(), DEVICES.value)
    if not SEVERAL.value:
        return [{"device": d, "network": n, "size": s, "over": "1"} for s, n, d in rows]
    over = ("4", "4 that share a batch", "2 x 4", "gather of 2 x 4")
    return [{"device": d, "network": n, "size": s, "over": o} for s, n, d in rows for o in over]


def measure(case: dict, step: Step) -> Needs:
    """Compiles one case. The second of two processes runs `shard` on its own devices."""
    name, over = case["device"], case["over"]
    hosts, several = 2 if "2 x" in over else 1, 1 if over == "1" else 4
    devices = list(describe(name, hosts=hosts, devices=several))
    if over.startswith("gather"):
        return gather_needs(PIECE, [devices[:4], devices[4:]])
    share = several if over.endswith("batch") else 1
    devices = devices[-several:]
    return step_needs(step.algorithm, step.variables, step.batch, devices, share=share)


def main(_: list[str]) -> None:
    """Prints a line a case."""
    jax.config.update("jax_platforms", "cpu")  # else CUDA is started, which needs a GPU
    path = Path(JSON.value) if JSON.value else None
    lines = path.read_text().splitlines() if path and path.is_file() else []
    done = [{k: line[k] for k in FIELDS} for line in map(json.loads, lines)]
    for case in [case for case in cases() if case not in done]:
        step = step_of(case["network"], case["size"])
        found = measure(case, step)
        memory = ACCELERATORS[case["device"]].memory_bytes
        line = case | {
            "fits": found.bytes <= SHARE * memory,
            "GiB": round(found.bytes / 2**30, 2),
            "GFLOP": round(step.operations / 1e9, 1),
            "compiled_s": round(found.seconds, 1),
        }
        print(json.dumps(line), flush=True)
        if path:
            with path.open("a") as file:
                file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    app.run(main)
