"""What an experiment will take: memory, time and disk, estimated before anything is trained."""

import math
import shutil
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import jax

from fedbrain.data.dataset import Scans
from fedbrain.data.pipeline import example_batch
from fedbrain.data.prepared_file import CHECK_BYTES, STORAGES
from fedbrain.experiments.advice import Splits
from fedbrain.experiments.clients import preparation_of
from fedbrain.experiments.compiled import outline_variables
from fedbrain.experiments.config import Experiment
from fedbrain.experiments.writing import nearest_folder
from fedbrain.models.layers_outline import Layer, layers_of
from fedbrain.models.probe import costliest, probe_of
from fedbrain.training.footprint import Footprint, footprint
from fedbrain.training.outline import outline
from fedbrain.training.speed import seconds_of

FORWARD_AND_BACKWARD = 3  # times the operations of the forward pass
KEPT = 2.0  # times the outputs of all layers: they are kept, and as many are under way
NOTES_BYTES = 200  # of a prepared volume, beside its voxels; arbitrary
SPARE = 3  # a time may be so many times longer or shorter


class Cost(NamedTuple):
    """Of an experiment."""

    footprint: Footprint  # of one client in one round
    memory_bytes: int  # of a training step of one client
    operations: float  # of the whole experiment
    operations_per_second: float  # of this machine
    cache_bytes: int  # that prepared volumes will take, beside those that are there
    free_bytes: int  # on the disk of the cache


def images_trained(experiment: Experiment, splits: Splits) -> tuple[int, int]:
    """(images in training steps, images in validation) over all rounds, regimes and splits.

    Args:
      experiment: gives rounds, epochs and regimes.
      splits: of all clients.
    """
    trained = validated = 0
    for split_id, parts in splits:
        for regime in experiment.regimes.values():
            for federation in regime(parts):
                names = sorted(federation.clients)
                drawn = experiment.sampling(names, 1, split_id.seed(experiment.seed))
                sizes = [len(federation.clients[name].train) for name in names]
                trained += round(sum(sizes) / len(names) * len(drawn)) * experiment.epochs
                validated += sum(len(client.valid) for client in federation.clients.values())
    return trained * experiment.rounds, validated * experiment.rounds


def step_bytes(experiment: Experiment, layers: Sequence[Layer], start: object) -> int:
    """Memory of a step: the client's state, a gradient and an update, and the layers' outputs.

    Args:
      experiment: gives the microbatches.
      layers: for a whole batch.
      start: of the client, as outlines.
    """
    leaves = jax.tree.leaves(start)
    state = sum(math.prod(x.shape) * x.dtype.itemsize for x in leaves if hasattr(x, "itemsize"))
    outputs = 4 * sum(layer.values for layer in layers) // experiment.microbatches
    return int(2 * state + KEPT * outputs)


def missing_bytes(
    experiment: Experiment, sites: Mapping[str, Scans], scratch: object
) -> tuple[int, int]:
    """(bytes of prepared volumes that the cache does not have, number of these).

    Args:
      experiment: gives the recipe.
      sites: name -> scans, prepared on demand.
      scratch: the folder where they would be prepared to be looked at.
    """
    voxels = STORAGES[experiment.recipe.storage].size(experiment.recipe.shape)
    size = voxels + CHECK_BYTES + NOTES_BYTES
    missing = 0
    for scans in sites.values():
        paths = getattr(scans.volumes, "paths", ())
        missing += sum(path is not None and path.parent == scratch for row in paths for path in row)
    return missing * size, missing


def estimate(
    experiment: Experiment, sites: Mapping[str, Scans], splits: Splits, scratch: object
) -> Cost:
    """Traces the network, and measures its costliest layer on this machine.

    Args:
      experiment: what is trained.
      sites: name -> scans, prepared on demand.
      splits: of all clients.
      scratch: folder of volumes that the cache does not have.
    """
    shape = (*experiment.recipe.shape, len(experiment.modalities))
    variables = outline_variables(experiment, shape)
    batch = example_batch(shape, experiment.batch_size, experiment.inputs)
    layers = layers_of(experiment.task, variables, batch)
    start = outline(experiment.algorithm, variables, batch, clients=max(1, len(splits[0][1]))).start
    probe = probe_of(costliest(layers))
    rate = FORWARD_AND_BACKWARD * probe.operations / seconds_of(probe.function, *probe.arguments)
    trained, validated = images_trained(experiment, splits)
    per_image = sum(layer.operations for layer in layers) / experiment.batch_size
    return Cost(
        footprint(experiment.algorithm, variables, batch),
        step_bytes(experiment, layers, start),
        per_image * (FORWARD_AND_BACKWARD * trained + validated),
        rate,
        missing_bytes(experiment, sites, scratch)[0],
        shutil.disk_usage(nearest_folder(preparation_of(experiment).cache)).free,
    )


def duration(seconds: int | float) -> str:
    """A time in words, coarsely.

    >>> duration(50), duration(400), duration(9000), duration(1e6)
    ('less than a minute', 'about 7 minutes', 'about 2.5 hours', 'about 12 days')
    """
    if seconds < 60:
        return "less than a minute"
    if seconds < 5400:
        return f"about {max(2, seconds / 60):.0f} minutes"
    hours = seconds / 3600
    return f"about {hours:.1f} hours" if hours < 48 else f"about {hours / 24:.0f} days"


def size(count: int | float) -> str:
    """Bytes in words.

    >>> size(0), size(3e4), size(2e6), size(3.5e10)
    ('0 MB', 'less than 1 MB', '2 MB', '35.0 GB')
    """
    if 0 < count < 1e6:
        return "less than 1 MB"
    return f"{count / 1e6:.0f} MB" if count < 1e9 else f"{count / 1e9:.1f} GB"


def render_cost(cost: Cost) -> Iterator[str]:
    """Lines of text.

    Args:
      cost: of an experiment.
    """
    seconds = cost.operations / cost.operations_per_second
    yield str(cost.footprint)
    yield (
        f"Memory of a training step of one client: {size(cost.memory_bytes)}, estimated from the"
        " sizes of its layers"
    )
    yield (
        f"Time of training on this machine: {duration(seconds)}, within a factor of {SPARE}:"
        f" {cost.operations / 1e12:.3g} TFLOP, at {cost.operations_per_second / 1e9:.3g} GFLOP/s of"
        " the network's costliest layer, measured now; preparation and checkpoints not counted"
    )
    yield (
        f"Disk for prepared volumes: {size(cost.cache_bytes)} beside those that are there;"
        f" {size(cost.free_bytes)} free"
    )
