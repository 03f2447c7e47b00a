"""Convolution as one matrix product of patches.

It is for short axes, few channels, and clients side by side. `convolve` has a row per
position: its receptive field. `convolve_windows` has a row per 4 neighbours along w: their
receptive fields overlap, so the matrix is half as large, and its product with a banded kernel is
wide enough to be fast with a single channel.
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


def windows_of(
    x: Volume, kernel: tuple[int, ...], stride: int, block: int
) -> Inexact[Array, "b i j n taps"]:
    """The receptive field of every `block` neighbouring positions along w.

    Its numbers are ordered by (depth tap, height tap, place in the window, channel).
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
    # Two steps: in one, XLA gathers number by number.
    windows = lax.optimization_barrier(jnp.concatenate(places, axis=-1))
    taps = [
        windows[:, i : i + stride * (d - 1) + 1 : stride, j : j + stride * (h - 1) + 1 : stride]
        for i, j in product(range(kd), range(kh))
    ]
    return jnp.concatenate(taps, axis=-1)


def convolve(x: Volume, kernel: Kernel, stride: int) -> Image:
    """Convolution with padding k // 2; a row of the matrix per position."""
    return windows_of(x, kernel.shape[:3], stride, 1) @ kernel.reshape(-1, kernel.shape[-1])


def correlate(x: Volume, y: Image, kernel: tuple[int, ...], stride: int) -> Kernel:
    """The adjoint of `convolve` in the kernel: sum_p x[p + t] y[p] = sum_q x[q] y[q - t].

    So an axis of the kernel can be unfolded beside the channels of x or of y: whichever makes the
    smaller matrices.
    """
    c, o = x.shape[-1], y.shape[-1]

    def columns(split: tuple[tuple[int, ...], tuple[int, ...]]) -> int:
        beside_y, beside_x = split
        return math.prod(beside_y) * o + math.prod(beside_x) * c

    axes = range(4 if stride == 1 else 1)  # how many are unfolded beside y
    splits = [(kernel[:a] + (1,) * (3 - a), (1,) * a + kernel[a:]) for a in axes]
    beside_y, beside_x = min(splits, key=columns)
    taps = _inner(windows_of(x, beside_x, stride, 1), _shifted(y, beside_y))
    taps = taps.reshape(math.prod(beside_x), c, math.prod(beside_y), o)
    return taps.transpose(2, 0, 1, 3).reshape(*kernel, c, o)


def _inner(x: Inexact[Array, "b i j k m"], y: Inexact[Array, "b i j k n"]) -> Inexact[Array, "m n"]:
    """The sum over positions of all products of channels."""
    rows_x = x.reshape(-1, x.shape[-1])  # flat, or XLA would transpose volumes
    rows_y = y.reshape(-1, y.shape[-1])
    return lax.dot_general(rows_x, rows_y, (((0,), (0,)), ((), ())))


def _shifted(y: Image, kernel: tuple[int, ...]) -> Inexact[Array, "b i j k taps"]:
    """y[q - t] for all taps t."""
    d, h, w = y.shape[1:4]
    y = jnp.pad(y, ((0, 0), *((k // 2, k // 2) for k in kernel), (0, 0)))
    starts = product(*(range(k - 1, -1, -1) for k in kernel))
    places = [y[:, i : i + d, j : j + h, k : k + w] for i, j, k in starts]
    return jnp.concatenate(places, axis=-1)


def convolve_windows(x: Volume, kernel: Kernel, stride: int) -> Image:
    """Convolution with padding k // 2; a row of the matrix per window.

    The kernel is repeated along a band, shifted by `stride` for every neighbour.
    """
    o = kernel.shape[-1]
    width = (x.shape[3] - 1) // stride + 1
    spare = stride * (BLOCK - 1)
    shifted = [
        jnp.pad(kernel, ((0, 0), (0, 0), (q, spare - q), (0, 0), (0, 0)))
        for q in range(0, spare + 1, stride)
    ]
    band = jnp.stack(shifted, axis=-2).reshape(-1, BLOCK * o)
    y = windows_of(x, kernel.shape[:3], stride, BLOCK) @ band
    return y.reshape(*y.shape[:3], -1, o)[:, :, :, :width]


def correlate_windows(x: Volume, y: Image, kernel: tuple[int, ...], stride: int) -> Kernel:
    """The adjoint of `convolve_windows` in the kernel: the product, summed along the band."""
    c, o = x.shape[-1], y.shape[-1]
    windows = windows_of(x, kernel, stride, BLOCK)
    y = jnp.pad(y, ((0, 0), (0, 0), (0, 0), (0, windows.shape[3] * BLOCK - y.shape[3]), (0, 0)))
    y = y.reshape(*windows.shape[:4], BLOCK * o)
    kd, kh, kw = kernel
    band = _inner(windows, y).reshape(kd, kh, -1, c, BLOCK, o)
    parts = [band[:, :, q * stride : q * stride + kw, :, q] for q in range(BLOCK)]
    return sum(parts[1:], parts[0])
