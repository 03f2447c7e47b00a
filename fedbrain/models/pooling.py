"""Maximum and mean over cubes of voxels.

Where several voxels are the maximum, they share its gradient. XLA's own gradient of a maximum
writes the volume several times; the ones here pass over it once.
"""

from collections.abc import Sequence
from functools import partial, reduce
from itertools import product

import jax
import jax.numpy as jnp
from jaxtyping import Array, Inexact

from fedbrain.models.layers import Volume, at_least_float32

Pooled = Inexact[Array, "b i j k c"]


def max_pool(x: Volume, size: int = 2, *, stride: int = 2, pad: int = 0) -> Pooled:
    """Maximum over cubes.

    Args:
      x: volumes.
      size: edge of a cube, in voxels.
      stride: distance of neighbouring cubes, in voxels.
      pad: voxels of minus infinity around the volume.

    >>> max_pool(jnp.ones((1, 8, 8, 8, 3))).shape
    (1, 4, 4, 4, 3)
    """
    if size == stride and not pad:
        return _cube_max(x, size)
    if pad:
        x = jnp.pad(x, ((0, 0), *((pad, pad),) * 3, (0, 0)), constant_values=-jnp.inf)
    return _window_max(x, size, stride)


def avg_pool(x: Volume, size: int = 2) -> Pooled:
    """Mean over disjoint cubes of `size`; a remainder at the far edge is dropped, as in PyTorch."""
    i, j, k = (n // size for n in x.shape[1:4])
    whole = x[:, : i * size, : j * size, : k * size]
    cubes = whole.reshape(x.shape[0], i, size, j, size, k, size, x.shape[4])
    return cubes.mean((2, 4, 6))


# Overlapping windows. Along an axis, voxel stride * i + r is tap r of window i, tap r + stride of
# window i - 1, and so on.


def _taps(x: Volume, size: int, stride: int) -> list[Pooled]:
    """The first voxel of every window, the second one, ..."""
    spans = [(n - size) // stride * stride + 1 for n in x.shape[1:4]]
    return [
        x[:, a : a + i : stride, b : b + j : stride, c : c + k : stride]
        for a, b, c in product(range(size), repeat=3)
        for i, j, k in [spans]
    ]


@partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def _window_max(x: Volume, size: int, stride: int) -> Pooled:
    return reduce(jnp.maximum, _taps(x, size, stride))


def _window_max_forward(x: Volume, size: int, stride: int):
    y = _window_max(x, size, stride)
    return y, (x, y)


def _window_max_backward(
    size: int, stride: int, x_and_y: tuple[Volume, Pooled], gradient: Pooled
) -> tuple[Volume]:
    """Voxels with the same r in every axis are in equally many windows: one sum for each r."""
    dtype = gradient.dtype
    x, y, gradient = map(at_least_float32, (*x_and_y, gradient))
    share = gradient / sum((tap == y).astype(x.dtype) for tap in _taps(x, size, stride))
    before = (size - 1) // stride  # windows that begin before a voxel's own
    pads = ((0, 0), *((before, before),) * 3, (0, 0))
    maxima, shares = jnp.pad(y, pads, constant_values=jnp.inf), jnp.pad(share, pads)
    counts = [n + before for n in y.shape[1:4]]
    cells = _resized(x, [n * stride for n in counts])

    def of_voxels(r: tuple[int, ...]) -> Array:
        i, j, k = r
        voxels = cells[:, i::stride, j::stride, k::stride]
        total = jnp.zeros_like(voxels)
        for back in product(*(range((size - 1 - n) // stride + 1) for n in r)):
            spans = (slice(before - e, before - e + n) for e, n in zip(back, counts))
            window = (slice(None), *spans)
            total = total + jnp.where(voxels == maxima[window], shares[window], 0)
        return total

    dx = jnp.stack([of_voxels(r) for r in product(range(stride), repeat=3)])
    dx = dx.reshape(stride, stride, stride, x.shape[0], *counts, x.shape[4])
    dx = dx.transpose(3, 4, 0, 5, 1, 6, 2, 7).reshape(cells.shape)
    return (_resized(dx, x.shape[1:4]).astype(dtype),)


def _resized(x: Array, shape: Sequence[int]) -> Array:
    """Cut, or filled up with zeros, at the far edges."""
    i, j, k = shape
    x = x[:, :i, :j, :k]
    spare = [(0, n - m) for n, m in zip(shape, x.shape[1:4])]
    return jnp.pad(x, ((0, 0), *spare, (0, 0)))


_window_max.defvjp(_window_max_forward, _window_max_backward)


# Disjoint cubes.


def _corners(x: Volume, size: int) -> list[Pooled]:
    """The first voxel of every cube, the second one, ...; a remainder is left out."""
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
    dtype = gradient.dtype
    x, y, gradient = map(at_least_float32, (*x_and_y, gradient))
    share = gradient / sum((corner == y).astype(x.dtype) for corner in _corners(x, size))
    dx = jnp.where(x == _fill(y, size, x.shape), _fill(share, size, x.shape), 0)
    return (dx.astype(dtype),)


def _fill(y: Pooled, size: int, shape: tuple[int, ...]) -> Volume:
    """The value of a cube at each of its voxels; 0 in the remainder."""
    b, i, j, k, c = y.shape
    cubes = jnp.broadcast_to(y[:, :, None, :, None, :, None], (b, i, size, j, size, k, size, c))
    volume = cubes.reshape(b, i * size, j * size, k * size, c)
    return _resized(volume, shape[1:4])


_cube_max.defvjp(_cube_max_forward, _cube_max_backward)
