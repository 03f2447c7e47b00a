"""A client's round as shapes and types: nothing is computed."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from fedbrain.training import local_steps
from fedbrain.types import Algorithm, Batch, ServerState, Update, Variables


class Outline(NamedTuple):
    """Trees of `jax.ShapeDtypeStruct`."""

    server: ServerState  # before the first round
    start: local_steps.Progress  # of a client, before its first step
    update: Update  # what it sends


def outline(
    algorithm: Algorithm, variables: Variables, batch: Batch, *, clients: int = 1
) -> Outline:
    """Traces one client's round.

    Args:
      algorithm: what is computed.
      variables: arrays or outlines.
      batch: any batch of the right shapes.
      clients: registered ones.

    >>> from fedbrain.algorithms.quadratic import quadratic_algorithm, quadratic_batch
    >>> client = outline(quadratic_algorithm(), {"params": {"w": jnp.zeros(1)}}, quadratic_batch())
    >>> client.update.delta.shape
    (1,)
    """

    def one_round(variables: Variables, batch: Batch) -> Outline:
        server, own = algorithm.init(variables, jnp.ones(clients)), algorithm.init_client(variables)
        start = local_steps.begin(algorithm.local, server, own, jax.random.key(0), batch)
        update, _ = local_steps.end(algorithm.local, server, own, start, jnp.ones(()))
        return Outline(server, start, update)

    return jax.eval_shape(one_round, dict(variables), dict(batch))
