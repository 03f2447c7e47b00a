"""Simple fully convolutional networks for brain age: Peng's, and the small one of FLightcase.

References:
  Peng et al. (2021), https://doi.org/10.1016/j.media.2020.101871
"""

from collections.abc import Sequence

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, Inexact

from fedbrain.models.layers import Conv, Volume, at_least_float32, require_size
from fedbrain.models.normalisation import NORMS
from fedbrain.models.pooling import max_pool


class SFCN(nn.Module):
    """Simple fully convolutional network.

    For all channels but the last: convolution 3^3, norm, max pooling 2^3, ReLU. For the last one:
    convolution 1^3, norm, ReLU. Then the mean over voxels, dropout and a linear layer.
    """

    channels: Sequence[int]
    outputs: int = 1
    norm: str = "batch"
    dropout: float = 0.5
    dtype: jnp.dtype = jnp.dtype("float32")

    @property
    def stages(self) -> tuple[str, ...]:
        """Names of layers in the order of computation."""
        numbers = range(1, len(self.channels) + 1)
        return (*(f"{kind}{i}" for i in numbers for kind in ("conv", "norm")), "head")

    @nn.compact
    def __call__(
        self, image: Volume, *, train: bool, mask: Float[Array, " b"] | None = None
    ) -> Inexact[Array, "b outputs"]:
        *body, last = self.channels
        require_size(image, 2 ** len(body), "sfcn")
        x = image
        for i, features in enumerate(body, start=1):
            x = Conv(features, 3, dtype=self.dtype, name=f"conv{i}")(x)
            x = NORMS[self.norm](name=f"norm{i}")(x, train=train, mask=mask)
            x = nn.relu(max_pool(x))
        n = len(self.channels)
        init = nn.initializers.he_normal()
        x = nn.Dense(last, kernel_init=init, dtype=self.dtype, name=f"conv{n}")(x)
        x = nn.relu(NORMS[self.norm](name=f"norm{n}")(x, train=train, mask=mask))
        x = nn.Dropout(self.dropout, deterministic=not train)(x.mean((1, 2, 3)))
        y = nn.Dense(self.outputs, dtype=self.dtype, name="head")(x)
        return at_least_float32(y)


def sfcn(
    norm: str = "batch", dropout: float = 0.5, dtype: str = "float32", outputs: int = 1
) -> SFCN:
    """Peng's SFCN for images of at least 32 voxels an axis: channels 32-64-128-256-256-64.

    Args:
      norm: "batch" or "group".
      dropout: rate before the last layer.
      dtype: of the computation, "float32" or "bfloat16"; parameters are float32.
      outputs: width of the last layer; set by the loss.
    """
    return SFCN((32, 64, 128, 256, 256, 64), outputs, norm, dropout, jnp.dtype(dtype))


def adapted_sfcn(
    channels: Sequence[int] = (32, 64, 128),
    norm: str = "batch",
    dropout: float = 0.5,
    dtype: str = "float32",
    outputs: int = 1,
) -> SFCN:
    """The network of FLightcase's simulation, made for images of 26^3 voxels.

    Args:
      channels: of the convolutions; any width and depth.
      norm: as `sfcn`.
      dropout: as `sfcn`.
      dtype: as `sfcn`.
      outputs: as `sfcn`.
    """
    return SFCN(tuple(channels), outputs, norm, dropout, jnp.dtype(dtype))
