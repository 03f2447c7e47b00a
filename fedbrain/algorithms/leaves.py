"""Trees of a model's leaves, cut in two by a filter, so that no algorithm knows about layers.

Both halves have the outline of the whole, with None where the other half holds the leaf.
"""

from typing import Protocol, runtime_checkable

import jax

from fedbrain.types import PyTree


@runtime_checkable
class LeafFilter(Protocol):
    """A choice of leaves by collection and path, for instance `("params", "norm0/scale")`."""

    def __call__(self, collection: str, path: str, /) -> bool:
        """Whether the leaf is chosen."""
        ...


def path_name(path: tuple) -> str:
    """A leaf's path as text: `conv1/kernel`.

    >>> [(path, _)] = jax.tree_util.tree_leaves_with_path({"conv1": {"kernel": 0.0}})
    >>> path_name(path)
    'conv1/kernel'
    """
    return jax.tree_util.keystr(path, simple=True, separator="/")


def is_head(path: str) -> bool:
    """Whether a leaf belongs to the last layer; covariates that are joined to it belong to it.

    >>> is_head("head/kernel"), is_head("conv1/kernel")
    (True, False)
    """
    return path.split("/", 1)[0] in ("head", "head_covariates")


def partition(collection: str, tree: PyTree, chosen: LeafFilter) -> tuple[PyTree, PyTree]:
    """(chosen leaves, the others): two trees of one outline, None where the other holds the leaf.

    >>> partition("params", {"head": 1, "conv": 2}, lambda collection, path: path == "head")
    ({'conv': None, 'head': 1}, {'conv': 2, 'head': None})
    """
    first = jax.tree_util.tree_map_with_path(
        lambda path, leaf: leaf if chosen(collection, path_name(path)) else None, tree
    )
    second = jax.tree_util.tree_map_with_path(
        lambda path, leaf: None if chosen(collection, path_name(path)) else leaf, tree
    )
    return first, second


def combine(first: PyTree, second: PyTree) -> PyTree:
    """The inverse of `partition`: each leaf from the first tree that holds it.

    >>> combine({"conv": None, "head": 1}, {"conv": 2, "head": None})
    {'conv': 2, 'head': 1}
    """
    return jax.tree.map(
        lambda a, b: b if a is None else a, first, second, is_leaf=lambda x: x is None
    )
