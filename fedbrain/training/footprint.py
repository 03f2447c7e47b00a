"""What a configuration trains and what a client sends in a round, counted from shapes before
anything is computed.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fedbrain.training import local_steps
from fedbrain.types import Algorithm, Batch, PyTree, Variables


class Footprint(NamedTuple):
    """Of one client in one round."""

    trained: int  # numbers that training changes
    parameters: int  # of the network
    # delta, batch statistics, weight, metrics and what the algorithm adds; without compression
    sent_bytes: int

    def __str__(self) -> str:
        return (
            f"Trainable parameters: {self.trained:,} of {self.parameters:,}; each client sends"
            f" {self.sent_bytes:,} bytes per round (uncompressed)"
        )


def _count(tree: PyTree) -> int:
    return sum(math.prod(x.shape) for x in jax.tree.leaves(tree))


def _bytes(tree: PyTree) -> int:
    return sum(math.prod(x.shape) * x.dtype.itemsize for x in jax.tree.leaves(tree))


def footprint(algorithm: Algorithm, variables: Variables, batch: Batch) -> Footprint:
    """Counts, from the shapes of one batch."""

    def one_round(variables: Variables, batch: Batch):
        server, own = algorithm.init(variables, jnp.ones(1)), algorithm.init_client(variables)
        progress: Any = local_steps.begin(algorithm.local, server, own, jax.random.key(0), batch)
        update, _ = local_steps.end(algorithm.local, server, own, progress, jnp.ones(()))
        return update, progress.carry.params

    update, trained = jax.eval_shape(one_round, dict(variables), dict(batch))
    return Footprint(_count(trained), _count(variables["params"]), _bytes(update))
