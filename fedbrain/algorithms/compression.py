"""What a client does to its delta, a vector, before it leaves: links of the client's upload.

Lossy and biased compressors keep their error and add it to the next delta (error feedback):

    u = D + e,   send Q(u),   e <- u - Q(u)

The memory e stays with the client. Sizes are those of the numbers on the wire; here values are what
the server decodes.

References:
  Alistarh et al. (2017), QSGD, https://arxiv.org/abs/1610.02132
  Karimireddy et al. (2019), error feedback, https://arxiv.org/abs/1901.09847
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

Compressor = Callable[[Float[Array, " p"], jax.Array], Float[Array, " p"]]


class UploadState(NamedTuple):
    """What a client remembers of its uploads."""

    error: Float[Array, " p"]  # e, or an empty vector without feedback
    round: Int[Array, ""]


def _link(compress: Compressor, *, feedback: bool, seed: int = 0) -> optax.GradientTransformation:
    def init(params) -> UploadState:
        error = jnp.zeros_like(params) if feedback else jnp.zeros(0)
        return UploadState(error, jnp.zeros((), jnp.int32))

    def update(updates, state, params=None):
        del params
        full = updates + state.error if feedback else updates
        # clients share a seed: what they send tells their random numbers apart
        own = jax.lax.bitcast_convert_type(full.sum().astype(jnp.float32), jnp.int32)
        key = jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), state.round), own)
        sent = compress(full, key)
        error = full - sent if feedback else state.error
        return sent, UploadState(error, state.round + 1)

    return optax.GradientTransformation(init, update)


def bfloat16() -> optax.GradientTransformation:
    """16 bits a number, relative error 2^-9: half the bytes.

    >>> link, delta = bfloat16(), jnp.array([1.0, 1.001])
    >>> link.update(delta, link.init(delta))[0].tolist()
    [1.0, 1.0]
    """
    return _link(lambda x, key: x.astype(jnp.bfloat16).astype(x.dtype), feedback=False)


def _quantise(block: int) -> Compressor:
    def compress(x: Array, key: jax.Array) -> Array:
        padded = jnp.pad(x, (0, -x.size % block)).reshape(-1, block)
        step = jnp.max(jnp.abs(padded), axis=1, keepdims=True) / 127
        step = jnp.where(step == 0, 1, step)
        level = jnp.floor(padded / step + jax.random.uniform(key, padded.shape, x.dtype))
        return (level * step).reshape(-1)[: x.size]

    return compress


def int8(block: int = 256, seed: int = 0) -> optax.GradientTransformation:
    """8 bits a number and one scale a block, rounded at random: unbiased, a quarter of the bytes.

    Args:
      block: numbers that share a scale.
      seed: of the rounding.

    >>> link, delta = int8(), jnp.array([127.0, -1.0])
    >>> link.update(delta, link.init(delta))[0].tolist()
    [127.0, -1.0]
    """
    return _link(_quantise(_positive(block)), feedback=False, seed=seed)


def int8_with_feedback(block: int = 256, seed: int = 0) -> optax.GradientTransformation:
    """`int8` that makes good for its error in the next round.

    >>> link, delta = int8_with_feedback(), jnp.array([127.0, -1.0])
    >>> link.update(delta, link.init(delta))[1].error.tolist()
    [0.0, 0.0]
    """
    return _link(_quantise(_positive(block)), feedback=True, seed=seed)


def top_k(density: float = 0.1) -> optax.GradientTransformation:
    """Only the largest `density` of the numbers, with feedback.

    >>> link, delta = top_k(0.5), jnp.array([3.0, -1.0])
    >>> sent, memory = link.update(delta, link.init(delta))
    >>> sent.tolist(), memory.error.tolist()
    ([3.0, 0.0], [0.0, -1.0])
    """
    if not 0 < density <= 1:
        raise ValueError(f"Expected 0 < density={density} <= 1.")

    def compress(x: Array, key: jax.Array) -> Array:
        del key
        count = max(1, round(density * x.size))
        _, largest = jax.lax.top_k(jnp.abs(x), count)
        return jnp.zeros_like(x).at[largest].set(x[largest])

    return _link(compress, feedback=True)


def scaled_sign() -> optax.GradientTransformation:
    """One bit a number: sign(u) * mean |u|, with feedback.

    >>> link, delta = scaled_sign(), jnp.array([3.0, -1.0])
    >>> link.update(delta, link.init(delta))[0].tolist()
    [2.0, -2.0]
    """
    return _link(lambda x, key: jnp.sign(x) * jnp.mean(jnp.abs(x)), feedback=True)


def _positive(block: int) -> int:
    if block < 1:
        raise ValueError(f"Expected block={block} >= 1.")
    return block
