"""Convolution of a volume as a 2-D convolution of its planes; depth taps are folded into channels.

XLA's 2-D convolution on a CPU runs several times faster than its 3-D one.
"""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Inexact

Volume = Inexact[Array, "b d h w c"]
Image = Inexact[Array, "b i j k o"]
Kernel = Inexact[Array, "kd kh kw c o"]


def plane_convolve(
    x: Inexact[Array, "n h w c"], kernel: Inexact[Array, "kh kw c o"], stride: int
) -> Array:
    """2-D convolution with padding k // 2."""
    padding = [(k // 2, k // 2) for k in kernel.shape[:2]]
    return lax.conv_general_dilated(
        x, kernel, (stride, stride), padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def convolve_inputs(x: Volume, kernel: Kernel, stride: int) -> Image:
    """Convolution with padding k // 2; input channels are (depth tap, channel). Best for c <= o."""
    b, d = x.shape[:2]
    kd, kh, kw, c, o = kernel.shape
    x = jnp.pad(x, ((0, 0), (kd // 2, kd // 2), (0, 0), (0, 0), (0, 0)))
    depth = (d - 1) // stride + 1
    taps = [x[:, t : t + stride * (depth - 1) + 1 : stride] for t in range(kd)]
    folded = jnp.concatenate(taps, axis=-1).reshape(b * depth, *x.shape[2:4], kd * c)
    y = plane_convolve(folded, kernel.transpose(1, 2, 0, 3, 4).reshape(kh, kw, kd * c, o), stride)
    return y.reshape(b, depth, *y.shape[1:])


def convolve_outputs(x: Volume, kernel: Kernel, stride: int) -> Image:
    """Convolution with padding k // 2; output channels are (depth tap, channel). Best for c > o."""
    b, d, h, w, c = x.shape
    kd, kh, kw, _, o = kernel.shape
    folded = kernel.transpose(1, 2, 3, 0, 4).reshape(kh, kw, c, kd * o)
    y = plane_convolve(x.reshape(b * d, h, w, c), folded, stride)
    y = y.reshape(b, d, *y.shape[1:3], kd, o)
    y = jnp.pad(y, ((0, 0), (kd // 2, kd // 2), (0, 0), (0, 0), (0, 0), (0, 0)))
    depth = (d - 1) // stride + 1
    taps = [y[:, t : t + stride * (depth - 1) + 1 : stride, :, :, t] for t in range(kd)]
    return sum(taps[1:], taps[0])
