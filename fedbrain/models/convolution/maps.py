"""The three bilinear maps of a convolution, closed under differentiation and fast under `vmap`."""

import math
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Inexact

from fedbrain.models.convolution import formulations, onednn
from fedbrain.models.convolution.formulations import (
    NATIVE,
    ONE_VOXEL,
    Geometry,
    Image,
    Kernel,
    Map,
    Volume,
)

# Voxels of a batch from which on oneDNN multiplies at each of them faster than XLA, whose gradient
# of the kernel copies the volume: it was slower at 128 and faster at 1,024, on two cores.
VOXELS = 512


def _call(map: str, first: Array, second: Array, geometry: Geometry) -> onednn.Call:
    """One of the three maps, as oneDNN describes it."""
    c, o = (first.shape[-1], second.shape[-1]) if map == "correlate" else second.shape[3:]
    x = (first.shape[0], *geometry.size, c)
    y = (first.shape[0], *(-(-n // geometry.stride) for n in geometry.size), o)
    dtype = jnp.result_type(first, second).name
    return onednn.Call(map, x, (*geometry.kernel, c, o), y, geometry.stride, dtype)


def _over_clients(
    map: str, pure: Map, pure_of_clients: Map, geometry: Geometry, first: Array, second: Array
) -> Array:
    """One of the three maps, in the formulation for the platform that it is lowered for.

    On a CPU that is oneDNN where it has a kernel. Examples of clients that share a kernel are one
    batch. Clients with kernels of their own come one after the other in oneDNN; in pure JAX their
    maps are one batched matrix product.

    Args:
      map: its name.
      pure: the map in pure JAX on a CPU, for one client.
      pure_of_clients: the map in pure JAX on a CPU, as one matrix product.
      geometry: of the convolution.
      first: first argument of the map.
      second: second argument of the map.
    """
    # XLA's own 2-D convolution is faster for kernels one voxel deep: a small network on pictures
    # took 0.6 of the time.
    is_flat = geometry.kernel[0] == 1 and geometry.kernel != ONE_VOXEL

    def for_platform(pure: Map) -> Callable[[Array, Array], Array]:
        def on_cpu(first: Array, second: Array) -> Array:
            call = _call(map, first, second, geometry)
            if is_flat or not onednn.runs(call):
                return pure(first, second, geometry)
            return onednn.apply(call, first, second)

        def elsewhere(first: Array, second: Array) -> Array:
            return NATIVE[map](first, second, geometry)

        return lambda *arrays: lax.platform_dependent(*arrays, cpu=on_cpu, default=elsewhere)

    mapped = jax.custom_batching.custom_vmap(for_platform(pure))

    @mapped.def_vmap
    def rule(size: int, is_mapped: list[bool], first: Array, second: Array) -> tuple[Array, bool]:
        if map != "correlate" and not is_mapped[1]:
            y = mapped(first.reshape(-1, *first.shape[2:]), second)
            return y.reshape(size, -1, *y.shape[1:]), True
        axes = [0 if m else None for m in is_mapped]
        return jax.vmap(for_platform(pure_of_clients), axes)(first, second), True

    return mapped(first, second)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def convolve(x: Volume, kernel: Kernel, geometry: Geometry) -> Image:
    """y[p] = sum_t k[t] x[s p + t], zero outside."""
    pure, pure_of_clients = formulations.convolve, formulations.convolve_patches
    return _over_clients("convolve", pure, pure_of_clients, geometry, x, kernel)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def spread(y: Image, kernel: Kernel, geometry: Geometry) -> Volume:
    """The adjoint of `convolve` in x."""
    pure, pure_of_clients = formulations.spread, formulations.spread_patches
    return _over_clients("spread", pure, pure_of_clients, geometry, y, kernel)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def correlate(x: Volume, y: Image, geometry: Geometry) -> Kernel:
    """The adjoint of `convolve` in the kernel."""
    pure, pure_of_clients = formulations.correlate, formulations.correlate_patches
    return _over_clients("correlate", pure, pure_of_clients, geometry, x, y)


def _with_arguments(f: Callable) -> Callable:
    """The forward pass: its gradient needs both arguments."""
    return lambda a, b, geometry: (f(a, b, geometry), (a, b))


# g: geometry; the second parameter: the saved arguments; the third: the gradient of the result.
convolve.defvjp(
    _with_arguments(convolve), lambda g, xk, y: (spread(y, xk[1], g), correlate(xk[0], y, g))
)
spread.defvjp(
    _with_arguments(spread), lambda g, yk, x: (convolve(x, yk[1], g), correlate(x, yk[0], g))
)
correlate.defvjp(
    _with_arguments(correlate), lambda g, xy, k: (spread(xy[1], k, g), convolve(xy[0], k, g))
)


def conv3d(x: Volume, kernel: Kernel, stride: int = 1) -> Image:
    """3-D convolution with padding k // 2, in the formulation that is fastest on the platform.

    >>> conv3d(jnp.ones((1, 8, 8, 8, 2)), jnp.ones((3, 3, 3, 2, 4)), stride=2).shape
    (1, 4, 4, 4, 4)
    """
    return convolve(x, kernel, Geometry(x.shape[1:4], kernel.shape[:3], stride))


def pointwise(x: Volume, kernel: Inexact[Array, "c o"]) -> Image:
    """The same matrix product at every voxel.

    >>> pointwise(jnp.ones((1, 8, 8, 8, 2)), jnp.ones((2, 4))).shape
    (1, 8, 8, 8, 4)
    """
    if math.prod(x.shape[:4]) < VOXELS:
        return x @ kernel

    def by_map(x: Volume, kernel: Array) -> Image:
        return convolve(x, kernel[None, None, None], Geometry(x.shape[1:4], ONE_VOXEL, 1))

    return lax.platform_dependent(x, kernel, cpu=by_map, default=jnp.matmul)
