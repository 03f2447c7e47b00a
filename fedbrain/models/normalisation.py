"""Normalisation of volumes [b d h w c]: over the real examples of a batch, or within each example.

Batch normalisation has a gradient of its own: in two passes over the volume, and without a path
through the statistics that are returned for the running averages.
"""

import math
from functools import partial
from typing import NamedTuple, cast

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax
from jaxtyping import Array, Float

from fedbrain.models.layers import Volume, at_least_float32


class Saved(NamedTuple):
    """What the gradient of `standardise` needs from the forward pass."""

    x: Array  # [b d h w c]
    weight: Array  # [b]
    scale: Array  # [c]
    bias: Array  # [c]
    count: Array  # [], examples times voxels
    mean: Array  # [c]
    variance: Array  # [c]


def _moments(x: Volume, weight: Float[Array, " b"]) -> tuple[Array, Array, Array]:
    """(examples times voxels, mean [c], variance [c]) of the weighted examples."""
    x = at_least_float32(x)
    count = jnp.maximum(weight.sum() * math.prod(x.shape[1:4]), 1.0)
    mean = weight @ x.sum((1, 2, 3)) / count
    return count, mean, weight @ ((x - mean) ** 2).sum((1, 2, 3)) / count


def _affine(x: Volume, mean: Array, variance: Array, scale: Array, bias: Array) -> Volume:
    gain = scale * lax.rsqrt(variance)
    return x * gain.astype(x.dtype) + (bias - mean * gain).astype(x.dtype)


@partial(jax.custom_vjp, nondiff_argnums=(4,))
def standardise(
    x: Volume,
    weight: Float[Array, " b"],
    scale: Float[Array, " c"],
    bias: Float[Array, " c"],
    epsilon: float,
):
    """Batch normalisation: scale (x - mean) / sqrt(variance + epsilon) + bias.

    Args:
      x: volumes.
      weight: 1 for a real example, 0 for padding.
      scale: of every channel.
      bias: of every channel.
      epsilon: added to the variance.

    Returns:
      (normalised volumes, examples times voxels, mean [c], variance [c]); the moments are those of
      the examples of weight 1, for the running statistics, and no gradient goes back through them.
    """
    return _standardise_forward(x, weight, scale, bias, epsilon)[0]


def _standardise_forward(x: Volume, weight: Array, scale: Array, bias: Array, epsilon: float):
    count, mean, variance = _moments(x, weight)
    y = _affine(x, mean, variance + epsilon, scale, bias)
    return (y, count, mean, variance), Saved(x, weight, scale, bias, count, mean, variance)


def _standardise_backward(epsilon: float, saved: Saved, gradients: tuple):
    """dx = scale / s (dy - w / n (sum dy + (x - mean) / s^2 sum dy (x - mean))).

    s^2 is variance + epsilon, w the weight of an example and n examples times voxels.
    """
    x, weight, scale, bias, count, mean, variance = saved
    dy = gradients[0].astype(mean.dtype)
    centred = x.astype(mean.dtype) - mean
    inverse = lax.rsqrt(variance + epsilon)
    total = dy.sum((0, 1, 2, 3))
    moment = (dy * centred).sum((0, 1, 2, 3))
    share = (weight / count).reshape(-1, 1, 1, 1, 1)
    dx = scale * inverse * (dy - share * (total + centred * (inverse**2 * moment)))
    return dx.astype(x.dtype), jnp.zeros_like(weight), inverse * moment, total.astype(bias.dtype)


standardise.defvjp(_standardise_forward, _standardise_backward)


class BatchNorm(nn.Module):
    """Batch normalisation over the real examples of a batch.

    Running statistics follow PyTorch: r <- (1 - momentum) r + momentum s, with the unbiased
    variance, so that weights can be exchanged with PyTorch models. Statistics are float32 whatever
    the compute dtype.
    """

    momentum: float = 0.1
    epsilon: float = 1e-5

    @nn.compact
    def __call__(self, x: Volume, *, train: bool, mask: Float[Array, " b"] | None) -> Volume:
        c = x.shape[-1]
        mean = self.variable("batch_stats", "mean", jnp.zeros, (c,))
        variance = self.variable("batch_stats", "var", jnp.ones, (c,))
        scale = self.param("scale", nn.initializers.ones, (c,))
        bias = self.param("bias", nn.initializers.zeros, (c,))
        if not train:
            return _affine(x, mean.value, variance.value + self.epsilon, scale, bias)
        weight = jnp.ones(x.shape[0]) if mask is None else mask
        y, count, batch_mean, batch_variance = cast(
            tuple, standardise(x, weight, scale, bias, self.epsilon)
        )
        if not self.is_initializing():
            unbiased = batch_variance * count / jnp.maximum(count - 1.0, 1.0)
            m = self.momentum
            mean.value = (1 - m) * mean.value + m * batch_mean
            variance.value = (1 - m) * variance.value + m * unbiased
        return y


class GroupNorm(nn.Module):
    """Group normalisation within each example: no running statistics. At most 8 groups."""

    @nn.compact
    def __call__(self, x: Volume, *, train: bool, mask: Float[Array, " b"] | None) -> Volume:
        del train, mask  # every example is normalised by itself
        groups = next(g for g in (8, 4, 2, 1) if x.shape[-1] % g == 0)
        return nn.GroupNorm(num_groups=groups, epsilon=1e-5, dtype=x.dtype)(x)


NORMS: dict[str, type[nn.Module]] = {"batch": BatchNorm, "group": GroupNorm}
