"""Layers for volumes [b d h w c]: convolution, pooling, normalisation. Same parameters as `nn.Conv`
and its kin.
"""

import math
from collections.abc import Sequence
from functools import partial, reduce
from itertools import product
from typing import cast

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax
from jaxtyping import Array, Float, Inexact

from fedbrain.models.convolution import conv3d

Volume = Inexact[Array, "b d h w c"]
Pooled = Inexact[Array, "b i j k c"]


class Conv(nn.Module):
    """3-D convolution, odd cubic kernel, padding kernel_size // 2. For 1x1x1 use `nn.Dense`: the
    same maths, faster.
    """

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


def _moments(x: Volume, weight: Float[Array, " b"]) -> tuple[Array, Array, Array]:
    """(examples times voxels, mean [c], variance [c]) of the weighted examples, in two passes over
    the volume.
    """
    x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
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
    """Batch normalisation: (scale (x - mean) / sqrt(variance + epsilon) + bias, count, mean,
    variance).

    The moments are those of the examples of weight 1, for the running statistics: no gradient goes
    back through them.
    """
    return _standardise_forward(x, weight, scale, bias, epsilon)[0]


def _standardise_forward(x: Volume, weight: Array, scale: Array, bias: Array, epsilon: float):
    count, mean, variance = _moments(x, weight)
    y = _affine(x, mean, variance + epsilon, scale, bias)
    return (y, count, mean, variance), (x, weight, scale, bias, count, mean, variance)


def _standardise_backward(epsilon: float, kept: tuple, gradients: tuple):
    """dx = scale / s (dy - w / n (sum dy + (x - mean) / s^2 sum dy (x - mean))), with s^2 =
    variance + epsilon.
    """
    x, weight, scale, bias, count, mean, variance = kept
    dy = gradients[0].astype(mean.dtype)
    centred = x.astype(mean.dtype) - mean
    inverse = lax.rsqrt(variance + epsilon)
    total, moment = dy.sum((0, 1, 2, 3)), (dy * centred).sum((0, 1, 2, 3))
    share = (weight / count).reshape(-1, 1, 1, 1, 1)
    dx = scale * inverse * (dy - share * (total + centred * (inverse**2 * moment)))
    return dx.astype(x.dtype), jnp.zeros_like(weight), inverse * moment, total.astype(bias.dtype)


standardise.defvjp(_standardise_forward, _standardise_backward)


class BatchNorm(nn.Module):
    """Batch normalisation over the real examples of a batch.

    Running statistics follow PyTorch: r <- (1 - momentum) r + momentum s, with the unbiased
      variance, so that weights
    can be exchanged with PyTorch models. Statistics are float32 whatever the compute dtype.
    """

    momentum: float = 0.1
    epsilon: float = 1e-5

    @nn.compact
    def __call__(self, x: Volume, *, train: bool, mask: Float[Array, " b"] | None) -> Volume:
        c = x.shape[-1]
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, (c,))
        running_variance = self.variable("batch_stats", "var", jnp.ones, (c,))
        scale = self.param("scale", nn.initializers.ones, (c,))
        bias = self.param("bias", nn.initializers.zeros, (c,))
        if not train:
            return _affine(
                x, running_mean.value, running_variance.value + self.epsilon, scale, bias
            )
        weight = jnp.ones(x.shape[0]) if mask is None else mask
        y, count, mean, variance = cast(tuple, standardise(x, weight, scale, bias, self.epsilon))
        if not self.is_initializing():
            unbiased = variance * count / jnp.maximum(count - 1.0, 1.0)
            running_mean.value = (1 - self.momentum) * running_mean.value + self.momentum * mean
            running_variance.value = (
                1 - self.momentum
            ) * running_variance.value + self.momentum * unbiased
        return y


class GroupNorm(nn.Module):
    """Group normalisation: no running statistics, nothing shared between examples. 8 groups, or
    fewer if c < 8.
    """

    @nn.compact
    def __call__(self, x: Volume, *, train: bool, mask: Float[Array, " b"] | None) -> Volume:
        del train, mask  # every example is normalised by itself
        groups = next(g for g in (8, 4, 2, 1) if x.shape[-1] % g == 0)
        return nn.GroupNorm(num_groups=groups, epsilon=1e-5, dtype=x.dtype)(x)


NORMS: dict[str, type[nn.Module]] = {"batch": BatchNorm, "group": GroupNorm}


def max_pool(x: Volume, size: int = 2, *, stride: int = 2, pad: int = 0) -> Pooled:
    """Maximum over cubes. Where several voxels are the maximum, they share its gradient."""
    if size == stride and not pad:
        return _cube_max(x, size)
    if pad:
        x = jnp.pad(x, ((0, 0), *((pad, pad),) * 3, (0, 0)), constant_values=-jnp.inf)
    for axis in (1, 2, 3):
        x = _line_max(x, axis, size, stride)
    return x


def _windows(x: Array, axis: int, size: int, stride: int) -> Sequence[Array]:
    n = (x.shape[axis] - size) // stride + 1
    return [lax.slice_in_dim(x, t, t + stride * (n - 1) + 1, stride, axis) for t in range(size)]


@partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3))
def _line_max(x: Array, axis: int, size: int, stride: int) -> Array:
    return reduce(jnp.maximum, _windows(x, axis, size, stride))


def _line_max_forward(x: Array, axis: int, size: int, stride: int):
    y = _line_max(x, axis, size, stride)
    return y, (x, y)


def _line_max_backward(
    axis: int, size: int, stride: int, x_and_y: tuple[Array, Array], gradient: Array
) -> tuple[Array]:
    """Voxel stride i + r was seen as tap r of window i, as tap r + stride of window i - 1, and so
    on.
    """
    x, y = x_and_y
    largest = [window == y for window in _windows(x, axis, size, stride)]
    share = gradient / sum(m.astype(x.dtype) for m in largest)
    late = (size - 1) // stride  # windows that begin before a voxel's own
    lines = []
    for r in range(stride):
        taps = [jnp.where(m, share, 0) for m in largest[r::stride]]
        spare = [
            [(0, 0)] * axis + [(i, late - i)] + [(0, 0)] * (x.ndim - axis - 1)
            for i in range(len(taps))
        ]
        lines.append(
            sum(jnp.pad(t, s) for t, s in zip(taps, spare)) if taps else jnp.zeros_like(gradient)
        )
    shape = list(x.shape)
    shape[axis] = -1
    whole = jnp.stack(lines, axis + 1).reshape(shape)
    width = min(whole.shape[axis], x.shape[axis])
    whole = lax.slice_in_dim(whole, 0, width, axis=axis)
    return (jnp.pad(whole, [(0, n - m) for n, m in zip(x.shape, whole.shape)]),)


_line_max.defvjp(_line_max_forward, _line_max_backward)


def _corners(x: Volume, size: int) -> list[Pooled]:
    """The voxels of every cube: all first ones, all second ones, ... A remainder at the far edge is
    left out.
    """
    i, j, k = (n // size * size for n in x.shape[1:4])
    return [x[:, a:i:size, b:j:size, c:k:size] for a, b, c in product(range(size), repeat=3)]


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def _cube_max(x: Volume, size: int) -> Pooled:
    return reduce(jnp.maximum, _corners(x, size))


def _cube_max_forward(x: Volume, size: int):
    y = _cube_max(x, size)
    return y, (x, y)


def _cube_max_backward(
    size: int, x_and_y: tuple[Volume, Pooled], gradient: Pooled
) -> tuple[Volume]:
    """One pass over the voxels; XLA's own gradient of a maximum writes the volume several times."""
    x, y = x_and_y
    share = gradient / sum((corner == y).astype(x.dtype) for corner in _corners(x, size))
    return (jnp.where(x == _fill(y, size, x.shape), _fill(share, size, x.shape), 0),)


def _fill(y: Pooled, size: int, shape: tuple[int, ...]) -> Volume:
    """Every voxel of a cube has its value; 0 in the remainder."""
    b, i, j, k, c = y.shape
    cubes = jnp.broadcast_to(y[:, :, None, :, None, :, None], (b, i, size, j, size, k, size, c))
    return jnp.pad(
        cubes.reshape(b, i * size, j * size, k * size, c),
        [
            (0, max(n - size * m, 0)) if 0 < a < 4 else (0, 0)
            for a, (n, m) in enumerate(zip(shape, y.shape))
        ],
    )


_cube_max.defvjp(_cube_max_forward, _cube_max_backward)


def avg_pool(x: Volume, size: int = 2) -> Pooled:
    """Mean over disjoint cubes of `size`; a remainder at the far edge is dropped, as in PyTorch."""
    return reduce(jnp.add, _corners(x, size)) / size**3


def require_size(x: Volume, minimum: int, name: str) -> None:
    """Raises ValueError when a spatial axis is too short for the network's poolings."""
    if min(x.shape[1:4]) < minimum:
        raise ValueError(
            f"{name}: expected every image axis >= {minimum} voxels, got {x.shape[1:4]}."
        )
