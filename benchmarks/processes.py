"""What the map over processes costs beside `loop`: rounds in which clients compute almost nothing.

    python -m benchmarks.processes [--processes=1,2,4] [--coordinates=11200000] [--rounds=9]

Four clients send a vector each; 11.2 million coordinates are those of DenseNet-121. Processes are
on this machine and talk over its loopback: what is measured is copying, not a network, and not
speed. With one process the map is `loop`.
"""

import json
import os
import socket
import statistics
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
from absl import app, flags

from fedbrain.algorithms.quadratic import quadratic_algorithm, quadratic_batch
from fedbrain.processes import peers
from fedbrain.processes.place import Place
from fedbrain.processes.start import start
from fedbrain.training.maps import loop
from fedbrain.training.processes import processes
from fedbrain.training.round import Client, make_round

PROCESSES = flags.DEFINE_list("processes", ["1", "2", "4"], "Numbers of processes.")
COORDINATES = flags.DEFINE_integer("coordinates", 11_200_000, "Of the vector of a client.")
ROUNDS = flags.DEFINE_integer("rounds", 9, "Rounds that count, after one that compiles.")
PLACE = flags.DEFINE_list("place", [], "COORDINATOR,PROCESSES,PROCESS of a worker.")
NAMES = ("amber", "birch", "cedar", "elm")


def seconds_of_rounds() -> list[float]:
    """Of this process, with the others."""
    algorithm = quadratic_algorithm()
    variables = {"params": {"w": jnp.zeros(COORDINATES.value)}}
    state = algorithm.init(variables, jnp.ones(len(NAMES)))
    run_round = make_round(algorithm, processes(loop()))
    seconds = []
    for _ in range(1 + ROUNDS.value):
        cohort = []
        for i, name in enumerate(NAMES):
            own, key, holder = (
                algorithm.init_client(variables),
                jax.random.key(i),
                i % peers.count(),
            )
            batches = [quadratic_batch(float(i))] if holder == peers.index() else []
            cohort.append(Client(name, 1, own, key, batches, process=holder))
        began = time.monotonic()
        state, _, _ = jax.block_until_ready(run_round(state, cohort, quadratic_batch()))
        seconds.append(time.monotonic() - began)
    return seconds[1:]


def by_processes(number: int) -> list[float]:
    """Seconds of the rounds of process 0."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    flag = [f"--coordinates={COORDINATES.value}", f"--rounds={ROUNDS.value}"]
    workers = [
        subprocess.Popen(
            [
                sys.executable,
                "-m",
                "benchmarks.processes",
                *flag,
                f"--place={address},{number},{k}",
            ],
            stdout=subprocess.PIPE,
            env=os.environ | {"JAX_PLATFORMS": "cpu"},
        )
        for k in range(number)
    ]
    said = [worker.communicate()[0] for worker in workers]
    return json.loads(said[0].splitlines()[-1])


def main(_: list[str]) -> None:
    """Prints a line for each number of processes."""
    if PLACE.value:
        address, number, index = PLACE.value
        start(Place(address, int(number), int(index)))
        print(json.dumps(seconds_of_rounds()))
        return
    for number in map(int, PROCESSES.value):
        seconds = sorted(by_processes(number))
        gathered = 0 if number == 1 else 4 * COORDINATES.value * len(NAMES)
        print(
            f"{number} processes: {statistics.median(seconds):.2f} s a round"
            f" ({seconds[0]:.2f} to {seconds[-1]:.2f}), {gathered / 1e6:.0f} MB gathered at each"
        )


if __name__ == "__main__":
    app.run(main)
