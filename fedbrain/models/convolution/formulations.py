"""Formulations of 3-D convolution in pure JAX, and the choice among them on a CPU.

XLA's own 3-D convolution uses a small part of a CPU. Its matrix products and 2-D convolutions stand
in, chosen at trace time by shape, from measurements on two cores with AVX-512
(benchmarks/conv.py --formulations repeats those of convolution).
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Inexact

from fedbrain.models.convolution import folding, patches, winograd

Volume = Inexact[Array, "b d h w c"]
Image = Inexact[Array, "b i j k o"]
Kernel = Inexact[Array, "kd kh kw c o"]


class Geometry(NamedTuple):
    """The geometry of a convolution with padding kernel // 2.

    y has ceil(size / stride) positions an axis.
    """

    size: tuple[int, ...]  # of x, three axes
    kernel: tuple[int, ...]  # odd
    stride: int


ONE_VOXEL = (1, 1, 1)  # a kernel of 1x1x1: the same matrix product at every voxel
Map = Callable[[Array, Array, Geometry], Array]


def native(x: Volume, kernel: Kernel, stride: int) -> Image:
    """The platform's own 3-D convolution (cuDNN on GPUs)."""
    padding = [(k // 2, k // 2) for k in kernel.shape[:3]]
    return lax.conv_general_dilated(
        x, kernel, (stride,) * 3, padding, dimension_numbers=("NDHWC", "DHWIO", "NDHWC")
    )


def _by_adjoint(convolve: Callable) -> Callable:
    """The adjoint of a convolution in the kernel, by automatic transposition."""

    def correlate(x: Volume, y: Image, kernel: tuple[int, ...], stride: int) -> Kernel:
        zero = jnp.zeros((*kernel, x.shape[-1], y.shape[-1]), x.dtype)
        return jax.linear_transpose(lambda k: convolve(x, k, stride), zero)(y)[0]

    return correlate


# name -> (convolve(x, kernel, stride), correlate(x, y, kernel size, stride))
FORMULATIONS: dict[str, tuple[Callable, Callable]] = {
    "native": (native, _by_adjoint(native)),
    "patches": (patches.convolve, patches.correlate),
    "windows": (patches.convolve_windows, patches.correlate_windows),
    "fold inputs": (folding.convolve_inputs, _by_adjoint(folding.convolve_inputs)),
    "fold outputs": (folding.convolve_outputs, _by_adjoint(folding.convolve_outputs)),
    "winograd": (winograd.convolve, winograd.correlate),
}


def for_convolution(
    batch: int, channels: int, features: int, geometry: Geometry, dtype: jnp.dtype
) -> str:
    """The formulation that was fastest on a CPU."""
    if geometry.kernel == ONE_VOXEL:
        return "patches"  # a matrix product
    positions = batch * math.prod(geometry.size)
    if geometry.stride == 1 and channels <= 4:
        return "windows" if geometry.size[2] % patches.BLOCK == 0 else "patches"
    if positions <= 64:
        return "patches"
    three = geometry.stride == 1 and geometry.kernel[0] == 3
    if three and positions > 1024 and jnp.finfo(dtype).bits >= 32:
        return "winograd"
    return "fold inputs" if channels <= features else "fold outputs"


def for_correlation(
    batch: int, channels: int, features: int, geometry: Geometry, dtype: jnp.dtype
) -> str:
    """The formulation of the kernel's gradient that was fastest on a CPU."""
    name = for_convolution(batch, channels, features, geometry, dtype)
    return "patches" if name.startswith("fold") and geometry.stride == 1 else name


# The three maps in the chosen formulation, for one client.


def convolve(x: Volume, kernel: Kernel, geometry: Geometry) -> Image:
    """y[p] = sum_t k[t] x[s p + t]."""
    name = for_convolution(x.shape[0], kernel.shape[3], kernel.shape[4], geometry, x.dtype)
    return FORMULATIONS[name][0](x, kernel, geometry.stride)


def spread(y: Image, kernel: Kernel, geometry: Geometry) -> Volume:
    """The adjoint of `convolve` in x."""
    if geometry.stride == 1:
        return convolve(y, _transposed(kernel), geometry)
    return _adjoint_in_x(folding.convolve_inputs, y, kernel, geometry)


def correlate(x: Volume, y: Image, geometry: Geometry) -> Kernel:
    """The adjoint of `convolve` in the kernel."""
    name = for_correlation(x.shape[0], x.shape[-1], y.shape[-1], geometry, x.dtype)
    return FORMULATIONS[name][1](x, y, geometry.kernel, geometry.stride)


# The three maps by the platform's own convolution.
NATIVE: dict[str, Map] = {
    "convolve": lambda x, kernel, geometry: native(x, kernel, geometry.stride),
    "spread": lambda y, kernel, geometry: _adjoint_in_x(native, y, kernel, geometry),
    "correlate": lambda x, y, geometry: _by_adjoint(native)(x, y, geometry.kernel, geometry.stride),
}


# The three maps as one matrix product: under `vmap` over clients a batched one, where 2-D
# convolutions would become slow grouped ones.


def convolve_patches(x: Volume, kernel: Kernel, geometry: Geometry) -> Image:
    """`convolve` as one matrix product."""
    return patches.convolve(x, kernel, geometry.stride)


def spread_patches(y: Image, kernel: Kernel, geometry: Geometry) -> Volume:
    """`spread` as one matrix product."""
    if geometry.stride == 1:
        return convolve_patches(y, _transposed(kernel), geometry)
    return _adjoint_in_x(patches.convolve, y, kernel, geometry)


def correlate_patches(x: Volume, y: Image, geometry: Geometry) -> Kernel:
    """`correlate` as one matrix product."""
    return patches.correlate(x, y, geometry.kernel, geometry.stride)


def _transposed(kernel: Kernel) -> Inexact[Array, "kd kh kw o c"]:
    """The kernel that takes y back to x, with stride 1."""
    return kernel[::-1, ::-1, ::-1].swapaxes(3, 4)


def _adjoint_in_x(formulation: Callable, y: Image, kernel: Kernel, geometry: Geometry) -> Volume:
    zero = jnp.zeros((y.shape[0], *geometry.size, kernel.shape[3]), y.dtype)
    return jax.linear_transpose(lambda x: formulation(x, kernel, geometry.stride), zero)(y)[0]
