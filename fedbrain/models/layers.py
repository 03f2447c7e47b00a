"""Layers for volumes [b d h w c]. Parameters have the names and shapes of `nn.Conv` and its kin."""

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Inexact

from fedbrain.models.convolution import conv3d, pointwise
from fedbrain.models.initial import he_normal

Volume = Inexact[Array, "b d h w c"]


class Conv(nn.Module):
    """3-D convolution with an odd cubic kernel and padding kernel_size // 2.

    For 1x1x1 there is `Pointwise`.
    """

    features: int
    kernel_size: int = 3
    stride: int = 1
    use_bias: bool = True
    dtype: jnp.dtype = jnp.dtype("float32")

    @nn.compact
    def __call__(self, x: Volume) -> Inexact[Array, "b i j k o"]:
        shape = (self.kernel_size,) * 3 + (x.shape[-1], self.features)
        kernel = self.param("kernel", he_normal, shape)
        y = conv3d(x.astype(self.dtype), kernel.astype(self.dtype), self.stride)
        if self.use_bias:
            bias = self.param("bias", nn.initializers.zeros, (self.features,))
            y = (y.astype(bias.dtype) + bias).astype(self.dtype)  # its gradient sums in float32
        return y


class Pointwise(nn.Module):
    """1x1x1 convolution without a bias: at every voxel the same matrix product."""

    features: int
    dtype: jnp.dtype = jnp.dtype("float32")

    @nn.compact
    def __call__(self, x: Volume) -> Inexact[Array, "b d h w o"]:
        kernel = self.param("kernel", he_normal, (x.shape[-1], self.features))
        return pointwise(x.astype(self.dtype), kernel.astype(self.dtype))


def at_least_float32(x: Inexact[Array, "..."]) -> Inexact[Array, "..."]:
    """For sums: of narrower numbers XLA for CPUs rounds every result, which is slow and inexact."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def require_size(x: Volume, minimum: int, name: str) -> None:
    """Raises ValueError when a spatial axis is too short for the network's poolings."""
    if min(x.shape[1:4]) < minimum:
        raise ValueError(
            f"{name}: expected every image axis >= {minimum} voxels, got {x.shape[1:4]}."
        )
