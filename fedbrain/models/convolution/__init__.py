"""3-D convolution of volumes, fast on a CPU: three bilinear maps, closed under differentiation.

    y = convolve(x, k)        y[p] = sum_t k[t] x[s p + t]
    x = spread(y, k)          its adjoint in x: the gradient that goes back to the input
    k = correlate(x, y)       its adjoint in k: the gradient of the kernel

The derivative of each is the other two, so gradients of any order run at the same speed. XLA's own
3-D convolution uses a small part of a CPU. Where oneDNN is installed its kernels compute the three
maps; elsewhere XLA's matrix products and 2-D convolutions stand in, chosen at trace time by
`for_convolution` and `for_correlation` from measurements on two cores with AVX-512
(benchmarks/conv.py --formulations repeats those of convolution). Accelerators run the native one.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Inexact

from fedbrain.models.convolution import folding, onednn, patches, winograd

Volume = Inexact[Array, "b d h w c"]
Image = Inexact[Array, "b i j k o"]
Kernel = Inexact[Array, "kd kh kw c o"]


class Geometry(NamedTuple):
    """What the three maps agree on. Padding is kernel // 2: y has ceil(size / stride) positions an
    axis.
    """

    size: tuple[int, ...]  # of x, three axes
    kernel: tuple[int, ...]  # odd
    stride: int


Map = Callable[[Array, Array, Geometry], Array]


def native(x: Volume, kernel: Kernel, stride: int) -> Image:
    """The platform's own 3-D convolution (cuDNN on GPUs)."""
    padding = [(k // 2, k // 2) for k in kernel.shape[:3]]
    return lax.conv_general_dilated(
        x, kernel, (stride,) * 3, padding, dimension_numbers=("NDHWC", "DHWIO", "NDHWC")
    )


def _by_adjoint(convolve: Callable) -> Callable:
    def correlate(x: Volume, y: Image, kernel: tuple[int, ...], stride: int) -> Kernel:
        zero = jnp.zeros((*kernel, x.shape[-1], y.shape[-1]), x.dtype)
        return jax.linear_transpose(lambda k: convolve(x, k, stride), zero)(y)[0]

    return correlate


# name -> (convolve(x, kernel, stride), correlate(x, y, kernel size, stride)), in pure JAX
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


def _convolve(x: Volume, kernel: Kernel, geometry: Geometry) -> Image:
    name = for_convolution(x.shape[0], kernel.shape[3], kernel.shape[4], geometry, x.dtype)
    return FORMULATIONS[name][0](x, kernel, geometry.stride)


def _convolve_patches(x: Volume, kernel: Kernel, geometry: Geometry) -> Image:
    return patches.convolve(x, kernel, geometry.stride)


def _correlate(x: Volume, y: Image, geometry: Geometry) -> Kernel:
    name = for_correlation(x.shape[0], x.shape[-1], y.shape[-1], geometry, x.dtype)
    return FORMULATIONS[name][1](x, y, geometry.kernel, geometry.stride)


def _correlate_patches(x: Volume, y: Image, geometry: Geometry) -> Kernel:
    return patches.correlate(x, y, geometry.kernel, geometry.stride)


def _spread(y: Image, kernel: Kernel, geometry: Geometry, convolve: Map = _convolve) -> Volume:
    if geometry.stride == 1:
        return convolve(y, kernel[::-1, ::-1, ::-1].swapaxes(3, 4), geometry)
    zero = jnp.zeros((y.shape[0], *geometry.size, kernel.shape[3]), y.dtype)
    by_rows = patches.convolve if convolve is _convolve_patches else folding.convolve_inputs
    return jax.linear_transpose(lambda x: by_rows(x, kernel, geometry.stride), zero)(y)[0]


def _call(map: str, first: Array, second: Array, geometry: Geometry) -> onednn.Call:
    """One of the three maps, in the words of oneDNN."""
    c, o = (first.shape[-1], second.shape[-1]) if map == "correlate" else second.shape[3:]
    y = tuple(-(-n // geometry.stride) for n in geometry.size)
    shapes = (
        (first.shape[0], *geometry.size, c),
        (*geometry.kernel, c, o),
        (first.shape[0], *y, o),
    )
    return onednn.Call(map, *shapes, geometry.stride, jnp.result_type(first, second).name)


def _over_clients(
    map: str, pure: Map, pure_of_clients: Map, geometry: Geometry, first: Array, second: Array
) -> Array:
    """One of the three maps, fast under `vmap` too.

    Examples of clients that share a kernel are one batch. Clients with kernels of their own come
    one after the other in the library; in pure JAX their maps are one batched matrix product: 2-D
    convolutions would become slow grouped ones.

    Args:
      map: its name.
      pure: in pure JAX, for one client.
      pure_of_clients: in pure JAX, as one matrix product.
      geometry: of the map.
      first: argument.
      second: argument.
    """

    def preferring(pure: Map) -> Callable[[Array, Array], Array]:
        def run(first: Array, second: Array) -> Array:
            call = _call(map, first, second, geometry)
            flat = (
                geometry.kernel[0] == 1
            )  # XLA's own 2-D convolution: a small network on pictures took 0.6 of the time
            return (
                pure(first, second, geometry)
                if flat or not onednn.runs(call)
                else onednn.apply(call, first, second)
            )

        return run

    mapped = jax.custom_batching.custom_vmap(preferring(pure))

    @mapped.def_vmap
    def rule(size: int, is_mapped: list[bool], first: Array, second: Array) -> tuple[Array, bool]:
        if map != "correlate" and not is_mapped[1]:
            out = mapped(first.reshape(-1, *first.shape[2:]), second)
            return out.reshape(size, -1, *out.shape[1:]), True
        axes = [0 if m else None for m in is_mapped]
        return jax.vmap(preferring(pure_of_clients), axes)(first, second), True

    return mapped(first, second)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def convolve(x: Volume, kernel: Kernel, geometry: Geometry) -> Image:
    """y[p] = sum_t k[t] x[s p + t], zero outside."""
    return _over_clients("convolve", _convolve, _convolve_patches, geometry, x, kernel)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def spread(y: Image, kernel: Kernel, geometry: Geometry) -> Volume:
    """The adjoint of `convolve` in x."""
    return _over_clients(
        "spread", _spread, partial(_spread, convolve=_convolve_patches), geometry, y, kernel
    )


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def correlate(x: Volume, y: Image, geometry: Geometry) -> Kernel:
    """The adjoint of `convolve` in the kernel."""
    return _over_clients("correlate", _correlate, _correlate_patches, geometry, x, y)


def _keep(f: Callable) -> Callable:
    return lambda a, b, geometry: (f(a, b, geometry), (a, b))


convolve.defvjp(_keep(convolve), lambda g, xk, y: (spread(y, xk[1], g), correlate(xk[0], y, g)))
spread.defvjp(_keep(spread), lambda g, yk, x: (convolve(x, yk[1], g), correlate(x, yk[0], g)))
correlate.defvjp(_keep(correlate), lambda g, xy, k: (spread(xy[1], k, g), convolve(xy[0], k, g)))


def conv3d(x: Volume, kernel: Kernel, stride: int = 1) -> Image:
    """3-D convolution with symmetric padding k // 2, in the formulation that is fastest here."""
    if jax.default_backend() != "cpu":
        return native(x, kernel, stride)
    return convolve(x, kernel, Geometry(x.shape[1:4], kernel.shape[:3], stride))
