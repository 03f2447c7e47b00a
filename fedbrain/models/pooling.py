"""Maximum and mean over cubes of voxels.

Where several voxels are the maximum, they share its gradient. XLA's own gradient of a maximum
writes the volume several times; the ones here pass over it once.
"""

from collections.abc import Sequence
from functools import partial, reduce
from itertools import product

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Inexact

from fedbrain.models.layers import Volume

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
    for axis in (1, 2, 3):
        x = _line_max(x, axis, size, stride)
    return x


def avg_pool(x: Volume, size: int = 2) -> Pooled:
    """Mean over disjoint cubes of `size`; a remainder at the far edge is dropped, as in PyTorch."""
    return reduce(jnp.add, _corners(x, size)) / size**3


# Overlapping windows, one axis after the other.


def _windows(x: Array, axis: int, size: int, stride: int) -> Sequence[Array]:
    """Tap t of every window along an axis, for t = 0 .. size - 1."""
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
    """Voxel stride i + r is tap r of window i, tap r + stride of window i - 1, and so on."""
    x, y = x_and_y
    is_largest = [window == y for window in _windows(x, axis, size, stride)]
    share = gradient / sum(mask.astype(x.dtype) for mask in is_largest)
    earlier = (size - 1) // stride  # windows that begin before a voxel's own

    def shifted(tap: Array, i: int) -> Array:
        pads = [(0, 0)] * x.ndim
        pads[axis] = (i, earlier - i)
        return jnp.pad(tap, pads)

    lines = []
    for r in range(stride):
        taps = [jnp.where(mask, share, 0) for mask in is_largest[r::stride]]
        parts = [shifted(tap, i) for i, tap in enumerate(taps)]
        lines.append(sum(parts) if parts else jnp.zeros_like(gradient))
    shape = list(x.shape)
    shape[axis] = -1
    whole = jnp.stack(lines, axis + 1).reshape(shape)
    width = min(whole.shape[axis], x.shape[axis])
    whole = lax.slice_in_dim(whole, 0, width, axis=axis)
    return (jnp.pad(whole, [(0, n - m) for n, m in zip(x.shape, whole.shape)]),)


_line_max.defvjp(_line_max_forward, _line_max_backward)


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
    x, y = x_and_y
    share = gradient / sum((corner == y).astype(x.dtype) for corner in _corners(x, size))
    return (jnp.where(x == _fill(y, size, x.shape), _fill(share, size, x.shape), 0),)


def _fill(y: Pooled, size: int, shape: tuple[int, ...]) -> Volume:
    """The value of a cube at each of its voxels; 0 in the remainder."""
    b, i, j, k, c = y.shape
    cubes = jnp.broadcast_to(y[:, :, None, :, None, :, None], (b, i, size, j, size, k, size, c))
    volume = cubes.reshape(b, i * size, j * size, k * size, c)
    spare = [(0, max(n - m, 0)) for n, m in zip(shape, volume.shape)]
    return jnp.pad(volume, spare)


_cube_max.defvjp(_cube_max_forward, _cube_max_backward)
