"""Whether every batch is large enough for batch normalisation.

Statistics of a feature are taken over examples times voxels. Where a network has shrunk its images
to one voxel and the last batch of a client holds one scan, that is one value: the normalised
feature is 0 whatever the image holds. Over two values it is +1 and -1, and gradients explode: their
norm was 6e10 for DenseNet-121 on images of 32^3 voxels.
"""

from collections.abc import Iterable, Mapping

from fedbrain.data.pipeline import example_batch
from fedbrain.experiments.compiled import outline_variables
from fedbrain.experiments.config import Experiment
from fedbrain.models.layers_outline import fewest_voxels, layers_of

FEWEST_VALUES = 3  # of a feature


def smallest_batch(scans: int, *, batch_size: int, epochs: int, microbatches: int = 1) -> int:
    """Scans in the smallest batch, or part of one, over which statistics are taken in a round.

    Args:
      scans: of a client, for training.
      batch_size: of a local step.
      epochs: in a round; batches run across their borders.
      microbatches: parts of a batch.

    >>> smallest_batch(17, batch_size=8, epochs=1)
    1
    >>> smallest_batch(17, batch_size=8, epochs=2)
    2
    >>> smallest_batch(24, batch_size=8, epochs=1, microbatches=4)
    2
    """
    part = batch_size // microbatches
    return scans * epochs % part or min(part, scans * epochs)


def require_large_batches(
    experiment: Experiment,
    sizes: Mapping[str, Iterable[int]],
    shape: tuple[int, int, int, int],
    *,
    model: str,
) -> None:
    """Refuses a network whose batch statistics would be taken over too few values.

    Args:
      experiment: gives the network and the batches.
      sizes: client -> numbers of training scans.
      shape: of an image, [d h w c].
      model: the network as the configuration names it.

    Raises:
      ValueError: naming network, shape, client and batch, and what helps.
    """

    def smallest(scans: int, batch_size: int) -> int:
        parts = experiment.microbatches if batch_size % experiment.microbatches == 0 else 1
        return smallest_batch(
            scans, batch_size=batch_size, epochs=experiment.epochs, microbatches=parts
        )

    every = [(n, name) for name, numbers in sizes.items() for n in numbers]
    least, scans, name = min((smallest(n, experiment.batch_size), n, name) for n, name in every)
    if least >= FEWEST_VALUES:
        return
    voxels = voxels_of(experiment, shape)
    if not 0 < voxels * least < FEWEST_VALUES:
        return
    fitting = [
        size
        for size in sorted(
            range(1, 2 * experiment.batch_size), key=lambda b: abs(b - experiment.batch_size)
        )
        if min(smallest(n, size) for n, _ in every) * voxels >= FEWEST_VALUES
        and size % experiment.microbatches == 0
    ]
    other = f"config.client.batch_size={fitting[0]}, " if fitting else ""
    raise ValueError(
        f"config.model: {model} takes batch statistics over {_plural(voxels, 'voxel')} of its"
        f" smallest feature map for images of {' x '.join(map(str, shape[:3]))} voxels, and"
        f" {name}, with {_plural(scans, 'training scan')}, has a batch of"
        f" {_plural(least, 'scan')}: {_plural(voxels * least, 'value')} a feature, at least"
        f" {FEWEST_VALUES} are needed. Use {other}larger images (config.prepare), or norm='group'."
    )


def voxels_of(experiment: Experiment, shape: tuple[int, int, int, int]) -> int:
    """Voxels of the smallest feature map over which batch statistics are taken; 0 where none are.

    Args:
      experiment: gives the network.
      shape: of an image, [d h w c].
    """
    variables = outline_variables(experiment, shape)
    batch = example_batch(shape, experiment.batch_size, experiment.inputs)
    return fewest_voxels(layers_of(experiment.task, variables, batch))


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
