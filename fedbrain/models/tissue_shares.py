"""A network for few people: how much of each kind of tissue lies where, and a linear layer.

    share_k(voxel)     hat function of its grey value around level k; all shares add up to 1
    share_k(cell)      mean over the voxels of a cubic cell, and of the cell on the other side
    output             linear layer on normalised shares, with dropout

Brains must be registered, so that a cell is the same place in everybody. Only the norm and the last
layer have parameters. Dropout with rate p on normalised features is ridge regression with a penalty
of p / (1 - p) for each person.

References:
  Wager et al. (2013), https://arxiv.org/abs/1307.1493
"""

from collections.abc import Sequence
from itertools import pairwise

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, Inexact

from fedbrain.models.layers import Volume, at_least_float32, require_size
from fedbrain.models.normalisation import NORMS

LEVELS = (-2.0, -1.0, -0.3, 0.3, 0.8, 1.3)  # arbitrary: over the grey values of a z-scored T1w


def _hat(x: Volume, levels: Sequence[float], k: int) -> Volume:
    """1 at level k, falling to 0 at its neighbours; grey values beyond the ends count to them."""
    share = jnp.ones_like(x)
    if k:
        share = jnp.clip((x - levels[k - 1]) / (levels[k] - levels[k - 1]), 0, 1)
    if k + 1 < len(levels):
        share = share * jnp.clip((levels[k + 1] - x) / (levels[k + 1] - levels[k]), 0, 1)
    return share


def _cells(x: Volume, size: int) -> Inexact[Array, "b i j k c"]:
    """Mean over cubes of `size` voxels around the middle; what is left at the edges is dropped."""
    counts = [n // size for n in x.shape[1:4]]
    starts = [(n - m * size) // 2 for n, m in zip(x.shape[1:4], counts)]
    i, j, k = (slice(s, s + m * size) for s, m in zip(starts, counts))
    d, h, w = counts
    return x[:, i, j, k].reshape(-1, d, size, h, size, w, size, x.shape[4]).mean((2, 4, 6))


class TissueShares(nn.Module):
    """See the head of this file."""

    levels: Sequence[float]
    cell: int
    outputs: int = 1
    norm: str = "batch"
    dropout: float = 0.5
    dtype: jnp.dtype = jnp.dtype("float32")

    @property
    def stages(self) -> tuple[str, ...]:
        """Names of layers in the order of computation."""
        return ("norm1", "head")

    @nn.compact
    def __call__(
        self, image: Volume, *, train: bool, mask: Float[Array, " b"] | None = None
    ) -> Inexact[Array, "b outputs"]:
        require_size(image, self.cell, "tissue_shares")
        x = image.astype(self.dtype)
        shares = [_cells(_hat(x, self.levels, k), self.cell) for k in range(len(self.levels))]
        x = jnp.concatenate(shares, axis=-1)
        x = ((x + x[:, ::-1]) / 2)[:, : (x.shape[1] + 1) // 2]
        x = x.reshape(len(image), 1, 1, 1, -1)
        x = NORMS[self.norm](name="norm1")(x, train=train, mask=mask)
        x = nn.Dropout(self.dropout, deterministic=not train)(x[:, 0, 0, 0])
        init = nn.initializers.zeros
        y = nn.Dense(self.outputs, kernel_init=init, dtype=self.dtype, name="head")(x)
        return at_least_float32(y)


def tissue_shares(
    levels: Sequence[float] = LEVELS,
    cell: int = 8,
    norm: str = "batch",
    dropout: float = 0.5,
    dtype: str = "float32",
    outputs: int = 1,
) -> TissueShares:
    """Shares of tissue in cells of registered brains, and a linear layer.

    Args:
      levels: z-scored grey values, at least two, rising.
      cell: edge of a cell, in voxels.
      norm: as `sfcn`.
      dropout: as `sfcn`.
      dtype: as `sfcn`.
      outputs: as `sfcn`.
    """
    rising = len(levels) > 1 and all(a < b for a, b in pairwise(levels))
    if not rising or cell < 1:
        raise ValueError(
            "tissue_shares: expected at least two rising levels and a cell of at least 1 voxel, got"
            f" {tuple(levels)} and {cell}."
        )
    return TissueShares(tuple(levels), cell, outputs, norm, dropout, jnp.dtype(dtype))
