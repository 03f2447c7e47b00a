"""Talk between the processes of one run. With one process every function is the identity.

All processes call the same functions in the same order. Arrays travel as bytes, so that what
arrives is what was sent, bit for bit; a sum on the way would round.
"""

import json
import math
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from fedbrain.processes import running
from fedbrain.types import PyTree

PIECE = 2**27  # bytes that travel at once, so that a device holds a piece of each process


def index() -> int:
    """The number of this process, from 0.

    >>> index(), count()
    (0, 1)
    """
    return jax.process_index() if jax.distributed.is_initialized() else 0


def count() -> int:
    """The number of processes."""
    return jax.process_count() if jax.distributed.is_initialized() else 1


def _gather_bytes(sent: np.ndarray) -> np.ndarray:
    """[processes, bytes] of [bytes], as many at every process."""
    pieces = []
    with running.waiting():
        for first in range(0, len(sent), PIECE):
            piece = sent[first : first + PIECE]
            pieces.append(multihost_utils.process_allgather(piece))
    return np.concatenate(pieces, axis=1)


def gather(tree: PyTree) -> PyTree:
    """The trees of all processes, with a leading axis of processes.

    Args:
      tree: of arrays, of the same shapes and types at every process.

    >>> gather({"w": np.ones(2)})["w"].shape
    (1, 2)
    """
    if count() == 1:
        return jax.tree.map(lambda x: np.asarray(x)[None], tree)
    leaves, outline = jax.tree.flatten(tree)
    arrays = [np.ascontiguousarray(x) for x in leaves]
    shapes = [np.shape(x) for x in leaves]
    flat = [x.reshape(-1).view(np.uint8) for x in arrays]
    received = _gather_bytes(np.concatenate([*flat, np.zeros(1, np.uint8)]))
    ends = np.cumsum([0, *map(len, flat)])
    parts = [
        np.ascontiguousarray(received[:, a:b]).view(x.dtype).reshape(-1, *shape)
        for a, b, x, shape in zip(ends, ends[1:], arrays, shapes)
    ]
    return jax.tree.unflatten(outline, parts)


def first(tree: PyTree) -> PyTree:
    """The tree of process 0.

    Args:
      tree: of arrays, of the same shapes and types at every process.

    >>> first({"w": 1.0})
    {'w': 1.0}
    """
    if count() == 1:
        return tree
    return jax.tree.map(lambda x: x[0], gather(tree))


def exchange(value: Any) -> list[Any]:
    """The values of all processes, in their order.

    Args:
      value: of JSON's types; numbers arrive as they were, also infinite ones and NaN.

    >>> exchange({"loss": 0.5})
    [{'loss': 0.5}]
    """
    if count() == 1:
        return [value]
    text = np.frombuffer(json.dumps(value).encode(), np.uint8)
    lengths = gather(np.asarray(len(text)))
    # few different lengths: a program is compiled for each
    spare = 2 ** math.ceil(math.log2(max(256, *lengths.tolist()))) - len(text)
    texts = _gather_bytes(np.concatenate([text, np.zeros(spare, np.uint8)]))
    return [json.loads(bytes(row[:n]).decode()) for row, n in zip(texts, lengths.tolist())]
