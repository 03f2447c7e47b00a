"""Before training: on which device volumes lie, how the clients of a round are mapped, how much a
client trains and sends.
"""

import math
from collections.abc import Mapping

import jax

from fedbrain.data.dataset import Scans, shape_of
from fedbrain.data.pipeline import example_batch
from fedbrain.data.regimes import centralised
from fedbrain.experiments.compiled import outline_variables
from fedbrain.experiments.config import Experiment
from fedbrain.experiments.spec import choose
from fedbrain.processes import peers
from fedbrain.training.ahead_of_time import step_needs
from fedbrain.training.device_volumes import RESIDENCES
from fedbrain.training.footprint import Footprint, footprint
from fedbrain.training.maps import DRIVERS, LOCAL_DRIVERS
from fedbrain.training.memory_plan import choose_driver, choose_residence, measure


def place(experiment: Experiment, clients: Mapping[str, Scans]) -> tuple[Experiment, str]:
    """Chooses residence and driver where the configuration leaves them open (`auto()`).

    Args:
      experiment: as read from its configuration.
      clients: name -> scans.

    Returns:
      The experiment with both, and a line that says which were chosen and why; empty when the
      configuration names both.
    """
    if experiment.driver is not None and experiment.residence is not None:
        return experiment, ""
    shape = shape_of(list(clients.values()))
    batch = example_batch(shape, experiment.batch_size, experiment.inputs)
    count = -(-len(clients) // peers.count())  # clients of one process, at most
    variables = outline_variables(experiment, shape)
    sizes = measure(experiment.algorithm, variables, batch, count)
    voxels = math.prod(shape) * most_scans(experiment, clients)
    lines = []
    if experiment.residence is None:
        spec, reason = peers.exchange(choose_residence(sizes, 2 * voxels))[0]
        experiment = experiment._replace(residence=choose("residence", spec, RESIDENCES))
        lines.append(f"Volumes {spec}: {reason}.")
    assert experiment.residence is not None
    left = max(sizes.device_bytes - 2 * voxels * experiment.residence.itemsize, 0)
    if experiment.driver is None:

        def shared(devices: int) -> int:
            own = jax.local_devices()[:devices]
            return step_needs(experiment.algorithm, variables, batch, own, share=devices).bytes

        choice = choose_driver(
            sizes._replace(device_bytes=left),
            shared,
            examples=1 if experiment.privacy else experiment.batch_size // experiment.microbatches,
        )
        spec, reason = peers.exchange(choice)[0]
        spec = spec if peers.count() == 1 else f"processes({spec})"
        driver = choose("driver", spec, DRIVERS, nested=LOCAL_DRIVERS)
        experiment = experiment._replace(driver=driver)
        lines.append(f"Driver {spec}: {reason}.")
    return experiment, " ".join(lines)


def most_scans(experiment: Experiment, clients: Mapping[str, Scans]) -> int:
    """How many scans one process holds, at most; process 0 holds all in the centralised regime.

    Args:
      experiment: gives the regimes.
      clients: name -> scans.
    """
    if centralised in experiment.regimes.values():
        return sum(len(scans) for scans in clients.values())
    counts = [0] * peers.count()
    for scans in clients.values():
        counts[scans.holder] += len(scans)
    return max(counts)


def measure_footprint(experiment: Experiment, clients: Mapping[str, Scans]) -> Footprint:
    """How many parameters are trained and how many bytes a client sends in a round.

    Args:
      experiment: what is trained.
      clients: name -> scans; only the shape of their volumes is used.
    """
    shape = shape_of(list(clients.values()))
    outline = outline_variables(experiment, shape)
    return footprint(
        experiment.algorithm,
        outline,
        example_batch(shape, experiment.batch_size, experiment.inputs),
    )
