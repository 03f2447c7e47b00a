"""The fields that say how a client's batches are computed: their size, their parts, the driver."""

from typing import Any

from fedbrain.experiments.spec import at_least, choose
from fedbrain.training.maps import DRIVERS, LOCAL_DRIVERS
from fedbrain.training.round import Driver

AUTO = {"auto": lambda: None}  # a choice that is made from measured sizes


def read_batches(client: Any) -> tuple[int, int]:
    """`client.batch_size` and `client.microbatches`.

    Args:
      client: fields of a configuration.

    Raises:
      ValueError: when the second does not divide the first.
    """
    batch_size = at_least("client.batch_size", client.batch_size, 1)
    microbatches = at_least("client.microbatches", client.microbatches, 1)
    if batch_size % microbatches:
        fitting = ", ".join(str(n) for n in range(1, batch_size + 1) if batch_size % n == 0)
        raise ValueError(
            f"config.client.microbatches: expected a divisor of {batch_size=} ({fitting}), got"
            f" {microbatches}."
        )
    return batch_size, microbatches


def read_driver(config: Any, batch_size: int, microbatches: int, *, private: bool) -> Driver | None:
    """`driver`; None: left open.

    Args:
      config: an `ml_collections.ConfigDict` of an experiment.
      batch_size: of a local step.
      microbatches: parts of a batch.
      private: whether every example has a gradient of its own.

    Raises:
      ValueError: when its devices cannot share the batches.
    """
    driver = choose("driver", config.driver, DRIVERS | AUTO, nested=LOCAL_DRIVERS)
    if driver and driver.batch > 1 and private:
        raise ValueError(
            "config.driver: expected devices that do not share batches, since config.client.privacy"
            f" takes the gradient of every example alone, got {config.driver}."
        )
    if driver and batch_size // microbatches % driver.batch:
        unit = microbatches * driver.batch
        near = {batch_size // unit * unit, -(-batch_size // unit) * unit} - {0}
        parts = f" in {microbatches} microbatches" if microbatches > 1 else ""
        raise ValueError(
            f"config.driver: expected batches{parts} that {driver.batch} devices share evenly, got"
            f" client.batch_size={batch_size}; {' or '.join(map(str, sorted(near)))} would do."
        )
    return driver
