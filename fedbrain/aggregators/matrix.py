"""A tree of arrays as one matrix or one vector: rules compile faster on one array than on many."""

from collections.abc import Callable
from itertools import groupby
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fedbrain.types import PyTree


def as_matrix(tree: PyTree) -> tuple[Float[Array, "clients p"], Callable[[Array], PyTree]]:
    """A tree whose leaves lead with `clients` as one matrix, and the way back.

    >>> matrix, back = as_matrix({"bias": jnp.ones((3, 2)), "kernel": jnp.ones((3, 4, 5))})
    >>> matrix.shape
    (3, 22)
    >>> jax.tree.map(jnp.shape, back(matrix[0]))
    {'bias': (2,), 'kernel': (4, 5)}

    Returns:
      The matrix, and a function from [..., p] to a tree.
    """
    leaves, outline = jax.tree.flatten(tree)
    if len(leaves) == 1 and leaves[0].ndim == 2:
        return leaves[0], lambda x: jax.tree.unflatten(outline, [x])
    shapes = [x.shape[1:] for x in leaves]
    flat = [x.reshape(x.shape[0], -1) for x in leaves]
    ends = [0]
    for x in flat:
        ends.append(ends[-1] + x.shape[1])

    def back(x: Array) -> PyTree:
        parts = [x[..., a:b].reshape(x.shape[:-1] + s) for a, b, s in zip(ends, ends[1:], shapes)]
        return jax.tree.unflatten(outline, parts)

    return jnp.concatenate(flat, axis=1), back


def as_vector(params: PyTree) -> Float[Array, " p"]:
    """A tree without a clients axis as one vector, for the memory of a rule.

    >>> as_vector({"bias": jnp.zeros(2), "kernel": jnp.ones((1, 2))}).tolist()
    [0.0, 0.0, 1.0, 1.0]
    """
    return as_matrix(jax.tree.map(lambda x: x[None], params))[0][0]


class Layer(NamedTuple):
    """Where a layer's numbers lie among the columns of a matrix."""

    name: str
    start: int
    end: int


@jax.tree_util.register_static
class Layers(tuple[Layer, ...]):
    """The layers of a matrix in the order of its columns: known where a program is compiled, and no
    array in it.
    """


def layers_of(tree: PyTree) -> Layers:
    """Stretches of `as_vector`, one for all leaves of a parent: a kernel and its bias.

    >>> [*layers_of({"conv0": {"bias": jnp.zeros(2), "kernel": jnp.zeros((3, 2))}})]
    [Layer(name='conv0', start=0, end=8)]
    """

    def parent(leaf: tuple) -> str:
        return jax.tree_util.keystr(leaf[0][:-1], simple=True, separator="/")

    layers, end = [], 0
    for name, leaves in groupby(jax.tree_util.tree_leaves_with_path(tree), parent):
        start, end = end, end + sum(x.size for _, x in leaves)
        layers.append(Layer(name, start, end))
    return Layers(layers)
