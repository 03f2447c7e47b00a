"""What a configuration trains and what a client sends in a round, counted from shapes before
anything is computed.
"""

import math
from typing import NamedTuple

import jax

from fedbrain.training.outline import outline
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
    """Counts, from the shapes of one batch.

    >>> from fedbrain.algorithms.quadratic import quadratic_algorithm, quadratic_batch
    >>> variables = {"params": {"w": jax.numpy.zeros(1)}}
    >>> print(footprint(quadratic_algorithm(), variables, quadratic_batch()))
    Trainable parameters: 1 of 1; each client sends 24 bytes per round (uncompressed)
    """

    client = outline(algorithm, variables, batch)
    trained = client.start.carry.params
    return Footprint(_count(trained), _count(variables["params"]), _bytes(client.update))
