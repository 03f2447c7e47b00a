"""Whether the training step of an experiment fits an accelerator, and what makes it fit.

Compiled for the device, which need not be there; no data are read.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from fedbrain.data.pipeline import example_batch
from fedbrain.experiments.compiled import image_shape, outline_variables
from fedbrain.experiments.config import AUTO, Experiment, read_experiment
from fedbrain.experiments.spec import choose
from fedbrain.training.accelerators import ACCELERATORS, describe
from fedbrain.training.ahead_of_time import step_needs
from fedbrain.training.maps import DRIVERS
from fedbrain.training.memory_plan import SHARE

# rows of DRIVERS -> (devices, how many of them share a batch), for devices that are not here
DEVICES_OF = {name: lambda *_, **__: (1, 1) for name in DRIVERS | AUTO} | {
    "shard": lambda devices, batch=1: (devices, batch),
    "processes": lambda inner: inner,
}


class Way(NamedTuple):
    """To run an experiment."""

    flags: str  # what it changes
    config: Any  # an `ml_collections.ConfigDict`, for one device
    share: int = 1  # devices that share a client's batch


def ways(config: Any, devices: int = 1) -> Iterator[Way]:
    """As it is, with remat where the network has it, over several devices, with microbatches.

    Args:
      config: an `ml_collections.ConfigDict` of an experiment.
      devices: of one process.
    """
    own, share = choose("driver", config.driver, DEVICES_OF, nested=DEVICES_OF)
    devices = max(devices, own)
    config = _changed(config, {"driver": "loop()"})
    yield Way("", config, share)
    flags = ""
    recomputing = f"{config.model.rstrip()[:-1]}, remat=True)".replace("(, ", "(")
    try:
        read_experiment(_changed(config, {"model": recomputing}))
    except ValueError:  # the network has none, or it is on
        pass
    else:
        flags, config = f'--config.model="{recomputing}"', _changed(config, {"model": recomputing})
        yield Way(flags, config, share)
    size, parts = config.client.batch_size, config.client.microbatches
    spread = flags
    for more in range(share + 1, devices + 1):
        if devices % more == 0 and size // parts % more == 0:
            share = more
            spread = f'{flags} --config.driver="shard(devices={devices}, batch={share})"'.strip()
            yield Way(spread, config, share)
    for more in range(parts + 1, size + 1):
        if size % (more * share) == 0:
            changed = _changed(config, {"client.microbatches": more})
            yield Way(f"{spread} --config.client.microbatches={more}".strip(), changed, share)


def _changed(config: Any, fields: dict[str, Any]) -> Any:
    changed: Any = ConfigDict(config.to_dict())
    changed.update_from_flattened_dict(fields)
    return changed


def bytes_needed(experiment: Experiment, devices: Sequence[Any]) -> int:
    """Of the step of one client, at each device.

    Args:
      experiment: whose step it is.
      devices: that it is compiled for; several share the batch.
    """
    shape = image_shape(experiment)
    variables = outline_variables(experiment, shape)
    batch = example_batch(shape, experiment.batch_size, experiment.inputs)
    return step_needs(experiment.algorithm, variables, batch, devices, share=len(devices)).bytes


def run(config: Any, device: str, devices: int = 1) -> None:
    """Prints what the step needs, for every way until one fits.

    Args:
      config: an `ml_collections.ConfigDict` of an experiment.
      device: a row of `ACCELERATORS`.
      devices: of one process, which may share a client's batches.

    Raises:
      ValueError: when no way fits, the device is unknown, or its compiler is not installed.
    """
    if device not in ACCELERATORS:
        raise ValueError(f"--device: expected one of {', '.join(ACCELERATORS)}, got {device!r}.")
    if devices < 1:
        raise ValueError(f"--devices: expected a number >= 1, got {devices}.")
    every = list(ways(config, devices))
    experiment = read_experiment(every[0].config)
    accelerator, there = ACCELERATORS[device], describe(device, devices=max(w.share for w in every))
    room = SHARE * accelerator.memory_bytes
    print(
        f"{accelerator.name}: {accelerator.memory_bytes / 2**30:.1f} GiB, of which"
        f" {room / 2**30:.1f} are planned with. Compiled, not measured; a lower bound.\n"
        f"{config.model} on {image_shape(experiment)}, batches of {experiment.batch_size}:"
    )
    needed = 0
    for way in every:
        needed = bytes_needed(read_experiment(way.config), there[: way.share])
        fits = needed <= room
        verdict = "fits" if fits else "does not fit"
        print(
            f"  {needed / 2**30:7.2f} GiB  {verdict:12}  {way.flags or 'as configured'}", flush=True
        )
        if fits:
            return
    raise ValueError(
        f"config.model: expected a step that fits {accelerator.name}, got {needed / 2**30:.2f} GiB"
        " at the least. Take smaller batches (config.client.batch_size), dtype='bfloat16', larger"
        " voxels (config.prepare), or more devices (--devices)."
    )
