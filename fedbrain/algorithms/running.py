"""Means over the local steps of a round, and sums over the clients of a cohort."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fedbrain.aggregators.linear_algebra import combine
from fedbrain.types import PyTree


class Running(NamedTuple):
    """A sum over steps."""

    total: PyTree
    steps: Float[Array, ""]


def nothing_yet(tree: PyTree) -> Running:
    """Before the first step; the tree gives the shapes.

    >>> running_mean(nothing_yet(jnp.ones(2))).tolist()
    [0.0, 0.0]
    """
    return Running(jax.tree.map(jnp.zeros_like, tree), jnp.zeros((), jnp.float32))


def observe(running: Running, tree: PyTree) -> Running:
    """One more step.

    >>> float(observe(nothing_yet(jnp.ones(2)), jnp.ones(2)).steps)
    1.0
    """
    return Running(jax.tree.map(jnp.add, running.total, tree), running.steps + 1)


def running_mean(running: Running) -> PyTree:
    """The mean over steps; zero before the first.

    >>> seen = observe(observe(nothing_yet(0.0), 1.0), 4.0)
    >>> float(running_mean(Running(jnp.asarray(seen.total), seen.steps)))
    2.5
    """
    return jax.tree.map(lambda x: x / jnp.maximum(running.steps, 1).astype(x.dtype), running.total)


def share_of_all(
    weights: Float[Array, " clients"], examples: Float[Array, ""]
) -> Float[Array, " clients"]:
    """n_i / n, n counting the absent clients too; clients that claim more share what there is.

    >>> share_of_all(jnp.array([2.0, 0.0]), jnp.array(8.0)).tolist()
    [0.25, 0.0]
    >>> share_of_all(jnp.array([8.0, 24.0]), jnp.array(16.0)).tolist()
    [0.25, 0.75]
    """
    return weights / jnp.maximum(jnp.maximum(examples, weights.sum()), 1)


def weighted_sum(tree: PyTree, coefficients: Float[Array, " clients"]) -> PyTree:
    """sum_i a_i x_i over the leading clients axis; a client with a_i = 0 is not read.

    >>> weighted_sum(jnp.array([[1.0], [jnp.nan]]), jnp.array([2.0, 0.0])).tolist()
    [2.0]
    """
    return jax.tree.map(lambda x: combine(x, coefficients), tree)
