"""Whether the training step of an experiment fits an accelerator, and what makes it fit.

Compiled for the device, which need not be there; no data are read.
"""

from collections.abc import Iterator
from typing import Any

from ml_collections import ConfigDict

from fedbrain.data.pipeline import example_batch
from fedbrain.experiments.compiled import image_shape, outline_variables
from fedbrain.experiments.config import Experiment, read_experiment
from fedbrain.training.accelerators import ACCELERATORS, describe
from fedbrain.training.ahead_of_time import step_needs
from fedbrain.training.memory_plan import SHARE


def ways(config: Any) -> Iterator[tuple[str, Any]]:
    """(flags, configuration): as it is, with remat where the network has it, with microbatches.

    Args:
      config: an `ml_collections.ConfigDict` of an experiment.
    """
    yield "", config
    flags = ""
    recomputing: Any = ConfigDict(config.to_dict())
    recomputing.model = f"{config.model.rstrip()[:-1]}, remat=True)".replace("(, ", "(")
    try:
        read_experiment(recomputing)
    except ValueError:  # the network has none, or it is on
        recomputing = config
    else:
        flags = f'--config.model="{recomputing.model}"'
        yield flags, recomputing
    size, parts = config.client.batch_size, config.client.microbatches
    for more in [n for n in range(parts + 1, size + 1) if size % n == 0]:
        changed: Any = ConfigDict(recomputing.to_dict())
        changed.client.microbatches = more
        yield f"{flags} --config.client.microbatches={more}".strip(), changed


def bytes_needed(experiment: Experiment, device: Any) -> int:
    """Of the step of one client.

    Args:
      experiment: whose step it is.
      device: that it is compiled for.
    """
    shape = image_shape(experiment)
    variables = outline_variables(experiment, shape)
    batch = example_batch(shape, experiment.batch_size, experiment.inputs)
    return step_needs(experiment.algorithm, variables, batch, [device]).bytes


def run(config: Any, device: str) -> None:
    """Prints what the step needs, for every way until one fits.

    Args:
      config: an `ml_collections.ConfigDict` of an experiment.
      device: a row of `ACCELERATORS`.

    Raises:
      ValueError: when no way fits, the device is unknown, or its compiler is not installed.
    """
    if device not in ACCELERATORS:
        raise ValueError(f"--device: expected one of {', '.join(ACCELERATORS)}, got {device!r}.")
    experiment = read_experiment(config)
    accelerator, here = ACCELERATORS[device], describe(device)[0]
    room = SHARE * accelerator.memory_bytes
    print(
        f"{accelerator.name}: {accelerator.memory_bytes / 2**30:.1f} GiB, of which"
        f" {room / 2**30:.1f} are planned with. Compiled, not measured; a lower bound.\n"
        f"{config.model} on {image_shape(experiment)}, batches of {experiment.batch_size}:"
    )
    for flags, changed in ways(config):
        needed = bytes_needed(read_experiment(changed), here)
        fits = needed <= room
        verdict = "fits" if fits else "does not fit"
        print(f"  {needed / 2**30:7.2f} GiB  {verdict:12}  {flags or 'as configured'}", flush=True)
        if fits:
            return
    raise ValueError(
        f"config.model: expected a step that fits {accelerator.name}, got {needed / 2**30:.2f} GiB"
        " at the least. Take smaller batches (config.client.batch_size), dtype='bfloat16' or larger"
        " voxels (config.prepare)."
    )
