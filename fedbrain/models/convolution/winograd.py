"""Winograd's F(4, 3) along depth: half the multiplications, for three depth taps and stride 1.

Four outputs of a 1-D convolution with three taps need six products instead of twelve:

    y = A^T [(G g) * (B^T x)]       g [3] taps, x [6] inputs, y [4] outputs

Here each product is a 2-D convolution over h and w. Rounding errors are about four times those of
the plain sum.

References:
  Lavin and Gray (2016), https://arxiv.org/abs/1509.09308
"""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Inexact

from fedbrain.models.convolution import patches
from fedbrain.models.convolution.folding import plane_convolve

Volume = Inexact[Array, "b d h w c"]
Image = Inexact[Array, "b d h w o"]
Kernel = Inexact[Array, "3 kh kw c o"]

TILE = 4  # outputs along depth
B = np.array(
    [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ]
).T
G = np.array([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]]) / 24
A = np.array([[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]]).T


def _combine(factors: np.ndarray, arrays: Sequence[Array]) -> Array:
    """sum_i factors_i arrays_i, in the arrays' precision."""
    terms = [a * jnp.asarray(f, a.dtype) for f, a in zip(factors, arrays) if f]
    return sum(terms[1:], terms[0])


def _places(x: Volume) -> list[Inexact[Array, "n h w c"]]:
    """The six inputs of every tile along depth, zeros outside; its outputs are the middle four."""
    b, d = x.shape[:2]
    tiles = -(-d // TILE)
    x = jnp.pad(x, ((0, 0), (1, tiles * TILE - d + 1), (0, 0), (0, 0), (0, 0)))
    places = [x[:, a : a + TILE * (tiles - 1) + 1 : TILE] for a in range(TILE + 2)]
    return [p.reshape(b * tiles, *x.shape[2:]) for p in places]


def convolve(x: Volume, kernel: Kernel, stride: int) -> Image:
    """Convolution with padding k // 2; `stride` is 1."""
    del stride  # 1
    b, d = x.shape[:2]
    inputs = _places(x)
    kernels = [_combine(row, list(kernel)) for row in G]
    products = [plane_convolve(_combine(column, inputs), u, 1) for column, u in zip(B.T, kernels)]
    y = jnp.stack([_combine(row, products) for row in A.T], axis=1)
    y = y.reshape(b, -1, TILE, *y.shape[2:])
    return y.reshape(b, -1, *y.shape[3:])[:, :d]


def correlate(x: Volume, y: Image, kernel: tuple[int, ...], stride: int) -> Kernel:
    """The adjoint of `convolve` in the kernel: G^T sum [(B^T x) * (A y)]."""
    del stride  # 1
    inputs = _places(x)
    outputs = _places(y)[1:-1]

    def product(column: np.ndarray, row: np.ndarray) -> Inexact[Array, "kh kw c o"]:
        x, y = _combine(column, inputs), _combine(row, outputs)
        return patches.correlate(x[:, None], y[:, None], (1, *kernel[1:]), 1)[0]

    products = [product(column, row) for column, row in zip(B.T, A)]
    return jnp.stack([_combine(column, products) for column in G.T])
