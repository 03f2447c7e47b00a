"""Starts the talk between processes that a cluster, or flags, have started together."""

import os
from typing import Any

import jax

from fedbrain.processes.place import Place, own_devices, read_place

HEARTBEAT_S = 120  # of JAX's own watch, later than that of `watch`


def start(flags: Place) -> bool:
    """Joins the other processes, if there are any; before the first computation.

    Args:
      flags: of the command line.

    Returns:
      Whether there are others.

    Raises:
      ValueError: when flags or environment are incomplete, or the others do not come.
    """
    place = read_place(flags, os.environ)
    if place is None:
        return False
    # its handler would take SIGTERM away from `experiments.interrupt`
    jax.config.update("jax_enable_preemption_service", False)
    settings: dict[str, Any] = {"local_device_ids": own_devices(os.environ)}
    if place.coordinator:
        settings |= {
            "coordinator_address": place.coordinator,
            "num_processes": place.processes,
            "process_id": place.process,
            "cluster_detection_method": "deactivate",
        }
    try:
        jax.distributed.initialize(
            **settings,
            initialization_timeout=int(os.environ.get("FEDBRAIN_START_S", "300")),
            heartbeat_timeout_seconds=HEARTBEAT_S,
            shutdown_timeout_seconds=60,
        )
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"The {place.processes} processes did not meet: {reason}") from None
    return True


class Store:
    """What all processes can read: small texts at the coordinator."""

    def __init__(self) -> None:
        from jax._src import distributed  # there is no public way to the store

        self.client: Any = distributed.global_state.client

    def set(self, key: str, text: str) -> None:
        """Writes a text.

        Args:
          key: its name.
          text: new or in place of the old one.
        """
        self.client.key_value_set(f"fedbrain/{key}", text, allow_overwrite=True)

    def read(self) -> dict[str, str]:
        """All texts."""
        pairs = self.client.key_value_dir_get("fedbrain/")
        return {key.split("fedbrain/", 1)[1]: text for key, text in pairs}
