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
    """Before the first step; the tree gives the shapes."""
    return Running(jax.tree.map(jnp.zeros_like, tree), jnp.zeros((), jnp.float32))


def observe(running: Running, tree: PyTree) -> Running:
    """One more step."""
    return Running(jax.tree.map(jnp.add, running.total, tree), running.steps + 1)


def running_mean(running: Running) -> PyTree:
    """The mean over steps; zero before the first."""
    return jax.tree.map(lambda x: x / jnp.maximum(running.steps, 1).astype(x.dtype), running.total)


def share_of_all(
    weights: Float[Array, " clients"], examples: Float[Array, ""]
) -> Float[Array, " clients"]:
    """n_i / n, n counting the absent clients too."""
    return weights / jnp.maximum(examples, 1)


def weighted_sum(tree: PyTree, coefficients: Float[Array, " clients"]) -> PyTree:
    """sum_i a_i x_i over the leading clients axis; a client with a_i = 0 is not read."""
    return jax.tree.map(lambda x: combine(x, coefficients), tree)
