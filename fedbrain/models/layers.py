"""Layers for volumes [b d h w c]: convolution, pooling, normalisation. Same parameters as `nn.Conv` and its kin."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax
from jaxtyping import Array, Float, Inexact

from fedbrain.models.convolution import conv3d

Volume = Inexact[Array, "b d h w c"]
Pooled = Inexact[Array, "b i j k c"]


class Conv(nn.Module):
    """3-D convolution, odd cubic kernel, padding kernel_size // 2. For 1x1x1 use `nn.Dense`: the same maths, faster."""

    features: int
    kernel_size: int = 3
    stride: int = 1
    use_bias: bool = True
    dtype: jnp.dtype = jnp.dtype("float32")

    @nn.compact
    def __call__(self, x: Volume) -> Inexact[Array, "b i j k o"]:
        shape = (self.kernel_size,) * 3 + (x.shape[-1], self.features)
        kernel = self.param("kernel", nn.initializers.he_normal(), shape)
        y = conv3d(x.astype(self.dtype), kernel.astype(self.dtype), self.stride)
        if self.use_bias:
            y = y + self.param("bias", nn.initializers.zeros, (self.features,)).astype(self.dtype)
        return y


class BatchNorm(nn.Module):
    """Batch normalisation over the real examples of a batch.

    Running statistics follow PyTorch: r <- (1 - momentum) r + momentum s, with the unbiased variance, so that weights
    can be exchanged with PyTorch models. Statistics are float32 whatever the compute dtype.
    """

    momentum: float = 0.1
    epsilon: float = 1e-5

    @nn.compact
    def __call__(self, x: Volume, *, train: bool, mask: Float[Array, " b"] | None) -> Volume:
        c = x.shape[-1]
        mean = self.variable("batch_stats", "mean", jnp.zeros, (c,))
        var = self.variable("batch_stats", "var", jnp.ones, (c,))
        mu, sigma2 = mean.value, var.value
        if train:
            x32 = x.astype(jnp.promote_types(x.dtype, jnp.float32))
            w = jnp.ones(x.shape[0]) if mask is None else mask
            w = w.reshape(-1, 1, 1, 1, 1)
            count = jnp.maximum(w.sum() * x[0, ..., 0].size, 1.0)
            mu = (x32 * w).sum((0, 1, 2, 3)) / count
            sigma2 = ((x32 - mu) ** 2 * w).sum((0, 1, 2, 3)) / count
            if not self.is_initializing():
                unbiased = sigma2 * count / jnp.maximum(count - 1.0, 1.0)
                mean.value = (1 - self.momentum) * mean.value + self.momentum * mu
                var.value = (1 - self.momentum) * var.value + self.momentum * unbiased
        scale = self.param("scale", nn.initializers.ones, (c,))
        bias = self.param("bias", nn.initializers.zeros, (c,))
        gain = scale * lax.rsqrt(sigma2 + self.epsilon)
        return x * gain.astype(x.dtype) + (bias - mu * gain).astype(x.dtype)


class GroupNorm(nn.Module):
    """Group normalisation: no running statistics, nothing shared between examples. 8 groups, or fewer if c < 8."""

    @nn.compact
    def __call__(self, x: Volume, *, train: bool, mask: Float[Array, " b"] | None) -> Volume:
        del train, mask  # every example is normalised by itself
        groups = next(g for g in (8, 4, 2, 1) if x.shape[-1] % g == 0)
        return nn.GroupNorm(num_groups=groups, epsilon=1e-5, dtype=x.dtype)(x)


NORMS: dict[str, type[nn.Module]] = {"batch": BatchNorm, "group": GroupNorm}


def _windows(x: Array, axis: int, size: int, stride: int) -> Sequence[Array]:
    n = (x.shape[axis] - size) // stride + 1
    return [lax.slice_in_dim(x, t, t + stride * (n - 1) + 1, stride, axis) for t in range(size)]


def max_pool(x: Volume, size: int = 2, *, stride: int = 2, pad: int = 0) -> Pooled:
    """Maximum over cubes, one axis after the other as maxima of strided slices."""
    if pad:
        x = jnp.pad(x, ((0, 0), *((pad, pad),) * 3, (0, 0)), constant_values=-jnp.inf)
    for axis in (1, 2, 3):
        first, *rest = _windows(x, axis, size, stride)
        for window in rest:
            first = jnp.maximum(first, window)
        x = first
    return x


def avg_pool(x: Volume, size: int = 2) -> Pooled:
    """Mean over disjoint cubes of `size`; a remainder at the far edge is left out, as in PyTorch."""
    for axis in (1, 2, 3):
        first, *rest = _windows(x, axis, size, size)
        x = sum(rest, first) / size
    return x


def require_size(x: Volume, minimum: int, name: str) -> None:
    """Raises ValueError when a spatial axis is too short for the network's poolings."""
    if min(x.shape[1:4]) < minimum:
        raise ValueError(f"{name}: expected every image axis >= {minimum} voxels, got {x.shape[1:4]}.")
