"""Gaussian noise of a private rule, drawn anew for every round from a seed: a counter is all that
is remembered, checkpointed and resumed.

It is of float32, as keys allow no other under `in_float64`, and is added in float64. What its
rounding tells is not covered by any epsilon.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from fedbrain.types import Key, PyTree


class NoiseState(NamedTuple):
    """Memory of a private rule: whoever knows it can take the noise away."""

    seed: Int[Array, ""]
    round: Int[Array, ""]  # completed; with the seed: the noise


def first_noise(seed: int) -> NoiseState:
    """The state before the first round.

    >>> first_noise(3)
    NoiseState(seed=Array(3, dtype=int32), round=Array(0, dtype=int32))
    """
    return NoiseState(jnp.asarray(seed, jnp.int32), jnp.zeros((), jnp.int32))


def key_of(state: NoiseState, *numbers: Array | int) -> Key:
    """The key of a seed and of numbers that say what is drawn.

    >>> state = first_noise(0)
    >>> bool(key_of(state, 1) == key_of(state, 2))
    False
    """
    with jax.enable_x64(False):  # keys are 32-bit, also inside `in_float64`
        key = jax.random.key(state.seed)
        for number in numbers:
            key = jax.random.fold_in(key, number)
        return key


def normal(key: Key, size: int) -> Float[Array, " size"]:
    """N(0, 1), independent.

    >>> normal(jax.random.key(0), 2).shape
    (2,)
    """
    with jax.enable_x64(False):
        return jax.random.normal(key, (size,), jnp.float32)


def with_seed(tree: PyTree, seed: Int[Array, ""]) -> PyTree:
    """A state whose noise is of another run: every seed in it plus this one.

    >>> state = (first_noise(3), jnp.ones(2))
    >>> int(with_seed(state, jnp.asarray(4))[0].seed)
    7
    """

    def is_noise(x) -> bool:
        return isinstance(x, NoiseState)

    def change(x):
        return x._replace(seed=x.seed + seed.astype(x.seed.dtype)) if is_noise(x) else x

    return jax.tree.map(change, tree, is_leaf=is_noise)
