"""What is shared is a filter over leaves; what it refuses is private and never leaves the hospital.

An exchange is a predicate `(collection, path) -> bool`, for instance `("params", "norm0/scale")`.
Trees are cut in two of the same outline, with None where the other half holds the leaf, so that no
algorithm knows about layers.
"""

from collections.abc import Callable

import jax

from fedbrain.types import PyTree

Exchange = Callable[[str, str], bool]


def is_head(path: str) -> bool:
    """Whether a leaf belongs to the last layer; covariates that are joined to it belong to it."""
    return path.split("/", 1)[0] in ("head", "head_covariates")


def everything() -> Exchange:
    """Every leaf is shared: plain FedAvg."""
    return lambda collection, path: True


def without_batch_norm() -> Exchange:
    """Scale, bias and statistics of normalisation layers stay: FedBN.

    References:
      Li et al. (2021), https://arxiv.org/abs/2102.07623
    """
    return lambda collection, path: collection != "batch_stats" and "norm" not in path


def without_statistics(exchange: Exchange) -> Exchange:
    """The same exchange with the batch statistics kept at the client: SiloBN."""
    return lambda collection, path: collection != "batch_stats" and exchange(collection, path)


def only_head() -> Exchange:
    """Only the last layer is shared."""
    return lambda collection, path: collection == "params" and is_head(path)


def without_head() -> Exchange:
    """All but the last layer is shared: FedPer.

    References:
      Arivazhagan et al. (2019), https://arxiv.org/abs/1912.00818
    """
    return lambda collection, path: not is_head(path)


def path_name(path: tuple) -> str:
    """A leaf's path as text: `conv1/kernel`."""
    return jax.tree_util.keystr(path, simple=True, separator="/")


def partition(collection: str, tree: PyTree, exchange: Exchange) -> tuple[PyTree, PyTree]:
    """(shared, private): two trees of the same outline, None where the other holds the leaf."""
    shared = jax.tree_util.tree_map_with_path(
        lambda p, x: x if exchange(collection, path_name(p)) else None, tree
    )
    private = jax.tree_util.tree_map_with_path(
        lambda p, x: None if exchange(collection, path_name(p)) else x, tree
    )
    return shared, private


def combine(first: PyTree, second: PyTree) -> PyTree:
    """The inverse of `partition`: each leaf from the half that holds it."""
    return jax.tree.map(
        lambda a, b: b if a is None else a, first, second, is_leaf=lambda x: x is None
    )
