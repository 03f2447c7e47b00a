"""Rounds of several algorithms, by one process or by several: prints a digest of each.

python -m tests.processes.rounds_under_test COORDINATOR PROCESSES PROCESS [DRIVER]
"""

import json
import sys

import jax
import optax

from fedbrain.aggregators import AGGREGATORS
from fedbrain.algorithms import Sharing
from fedbrain.algorithms.scaffold import scaffold
from fedbrain.algorithms.server_optimizers import fedadam
from fedbrain.algorithms.sharing import without_batch_norm
from fedbrain.experiments.checkpoints import tree_digest
from fedbrain.experiments.spec import call
from fedbrain.processes import peers
from fedbrain.processes.place import Place
from fedbrain.processes.start import start
from fedbrain.training.maps import LOCAL_DRIVERS
from fedbrain.training.processes import processes
from fedbrain.training.round import make_round
from tests import tiny

NAMES = ("cedar", "amber", "birch", "elm")


def algorithms(task):
    """Name -> algorithm."""
    return {
        "fedavg": tiny.algorithm(task),
        "scaffold": tiny.algorithm(task, optimizer=optax.sgd(1e-2), variant=scaffold()),
        "median, fedadam": tiny.algorithm(
            task, aggregator=AGGREGATORS["median"](), server_optimizer=fedadam(0.1)
        ),
        "fedbn": tiny.algorithm(task, sharing=Sharing(without_batch_norm())),
    }


def own(cohort):
    """The cohort without the batches of clients that another process holds."""
    holder = {name: i % peers.count() for i, name in enumerate(sorted(NAMES))}
    mine = peers.index()
    return [
        c._replace(process=holder[c.name], batches=c.batches if holder[c.name] == mine else ())
        for c in cohort
    ]


def digests(driver="loop()"):
    """Name of the algorithm -> digest of server, clients and metrics after two rounds.

    The second cohort is smaller: some process then has nobody. The network is one layer with batch
    norm, since every process compiles it; whole experiments between processes train a deeper one.
    """
    task = tiny.task(channels=(4,))
    variables, results = tiny.variables(task), {}
    for name, algorithm in algorithms(task).items():
        run_round = make_round(algorithm, processes(call(driver, LOCAL_DRIVERS)))
        server = algorithm.init(variables, jax.numpy.ones(len(NAMES)))
        states = {n: algorithm.init_client(variables) for n in NAMES}
        for round, drawn in enumerate((NAMES, NAMES[1:2])):
            cohort = tiny.cohort(algorithm, variables, round=round, names=drawn)
            cohort = [c._replace(state=states[c.name]) for c in own(cohort)]
            server, new, info = run_round(server, cohort, tiny.example())
            states |= dict(zip(drawn, new))
        results[name] = tree_digest((server, states, info))
    return results


if __name__ == "__main__":
    jax.config.update("jax_cpu_enable_async_dispatch", False)
    start(Place(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
    print(json.dumps(digests(*sys.argv[4:])))
