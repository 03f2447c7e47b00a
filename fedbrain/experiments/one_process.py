"""Orbax in one process of several: by default it waits for all of them."""

import orbax.checkpoint as ocp

from fedbrain.processes import peers


def alone() -> ocp.options.MultiprocessingOptions:
    """Options of orbax by which this process waits for no other one."""
    if peers.count() == 1:
        return ocp.options.MultiprocessingOptions()
    own = peers.index()
    return ocp.options.MultiprocessingOptions(
        primary_host=own, active_processes={own}, barrier_sync_key_prefix=f"process{own}"
    )
