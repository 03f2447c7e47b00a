"""One matrix product of everything that a kernel sees, for short axes, few channels, and clients
side by side.

`convolve` has a row per position. `convolve_windows` has a row per 4 neighbours along w: what they
see overlaps, so the matrix is half as large, and its product with a banded kernel is wide enough to
be fast with a single channel.
"""

import math
from itertools import product

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Inexact

Volume = Inexact[Array, "b d h w c"]
Image = Inexact[Array, "b i j k o"]
Kernel = Inexact[Array, "kd kh kw c o"]

BLOCK = 4  # neighbours of a window; 2 and 8 took a fifth longer for 1 -> 32 channels at 64^3


def see(
    x: Volume, kernel: tuple[int, ...], stride: int, block: int
) -> Inexact[Array, "b i j n taps"]:
    """What `block` neighbouring positions along w see: (depth tap, height tap, place in the window,
    channel).
    """
    d, h, w = ((n - 1) // stride + 1 for n in x.shape[1:4])
    kd, kh, kw = kernel
    blocks, window = -(-w // block), stride * (block - 1) + kw
    reach = stride * block * (blocks - 1) + window  # of all windows along w
    right = max(reach - x.shape[3] - kw // 2, 0)
    x = jnp.pad(x, ((0, 0), (kd // 2, kd // 2), (kh // 2, kh // 2), (kw // 2, right), (0, 0)))
    places = [
        x[:, :, :, t : t + stride * block * (blocks - 1) + 1 : stride * block]
        for t in range(window)
    ]
    windows = lax.optimization_barrier(
        jnp.concatenate(places, axis=-1)
    )  # in one step XLA gathers number by number
    taps = [
        windows[:, i : i + stride * (d - 1) + 1 : stride, j : j + stride * (h - 1) + 1 : stride]
        for i, j in product(range(kd), range(kh))
    ]
    return jnp.concatenate(taps, axis=-1)


def convolve(x: Volume, kernel: Kernel, stride: int) -> Image:
    """A row per position."""
    return see(x, kernel.shape[:3], stride, 1) @ kernel.reshape(-1, kernel.shape[-1])


def correlate(x: Volume, y: Image, kernel: tuple[int, ...], stride: int) -> Kernel:
    """The adjoint of `convolve` in the kernel: x[p + t] y[p], summed over positions, is x[q] y[q -
    t].

    So a tap can stand beside the channels of x or of y: whichever makes less to write.
    """
    c, o = x.shape[-1], y.shape[-1]
    splits = [
        (kernel[:a] + (1,) * (3 - a), (1,) * a + kernel[a:]) for a in range(4 if stride == 1 else 1)
    ]
    beside_y, beside_x = min(
        splits, key=lambda split: math.prod(split[0]) * o + math.prod(split[1]) * c
    )
    taps = _inner(see(x, beside_x, stride, 1), _shifted(y, beside_y))
    taps = taps.reshape(math.prod(beside_x), c, math.prod(beside_y), o)
    return taps.transpose(2, 0, 1, 3).reshape(*kernel, c, o)


def _inner(x: Inexact[Array, "b i j k m"], y: Inexact[Array, "b i j k n"]) -> Inexact[Array, "m n"]:
    """The sum over positions of all products of channels; rows are made first, or XLA would
    transpose volumes.
    """
    return lax.dot_general(
        x.reshape(-1, x.shape[-1]), y.reshape(-1, y.shape[-1]), (((0,), (0,)), ((), ()))
    )


def _shifted(y: Image, kernel: tuple[int, ...]) -> Inexact[Array, "b i j k taps"]:
    """y[q - t] for all taps t."""
    shape = y.shape
    y = jnp.pad(y, ((0, 0), *((k // 2, k // 2) for k in kernel), (0, 0)))
    starts = product(*(range(k - 1, -1, -1) for k in kernel))
    places = [
        lax.slice(y, (0, *s, 0), (shape[0], *(a + n for a, n in zip(s, shape[1:4])), shape[4]))
        for s in starts
    ]
    return jnp.concatenate(places, axis=-1)


def convolve_windows(x: Volume, kernel: Kernel, stride: int) -> Image:
    """A row per window: the kernel is repeated along a band, shifted by `stride` for every
    neighbour.
    """
    o = kernel.shape[-1]
    width = (x.shape[3] - 1) // stride + 1
    spare = stride * (BLOCK - 1)
    shifted = [
        jnp.pad(kernel, ((0, 0), (0, 0), (q, spare - q), (0, 0), (0, 0)))
        for q in range(0, spare + 1, stride)
    ]
    y = see(x, kernel.shape[:3], stride, BLOCK) @ jnp.stack(shifted, axis=-2).reshape(-1, BLOCK * o)
    return y.reshape(*y.shape[:3], -1, o)[:, :, :, :width]


def correlate_windows(x: Volume, y: Image, kernel: tuple[int, ...], stride: int) -> Kernel:
    """The adjoint of `convolve_windows` in the kernel: the product, summed along the band."""
    c, o = x.shape[-1], y.shape[-1]
    windows = see(x, kernel, stride, BLOCK)
    y = jnp.pad(y, ((0, 0), (0, 0), (0, 0), (0, windows.shape[3] * BLOCK - y.shape[3]), (0, 0)))
    y = y.reshape(*windows.shape[:4], BLOCK * o)
    kd, kh, kw = kernel
    band = _inner(windows, y).reshape(kd, kh, -1, c, BLOCK, o)
    parts = [band[:, :, q * stride : q * stride + kw, :, q] for q in range(BLOCK)]
    return sum(parts[1:], parts[0])
