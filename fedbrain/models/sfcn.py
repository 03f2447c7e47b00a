"""Simple fully convolutional networks for brain age: Peng's, and the small one of FLightcase's
simulation.

References:
  Peng et al. (2021), https://doi.org/10.1016/j.media.2020.101871
"""

from collections.abc import Sequence

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, Inexact

from fedbrain.models.layers import NORMS, Conv, Volume, max_pool, require_size


class SFCN(nn.Module):
    """3^3 convolution, norm, 2^3 max pooling, ReLU, for all channels but the last; then 1^3, norm,
    ReLU, mean, linear.
    """

    channels: Sequence[int]
    outputs: int = 1
    norm: str = "batch"
    dropout: float = 0.5
    dtype: jnp.dtype = jnp.dtype("float32")

    @property
    def stages(self) -> tuple[str, ...]:
        """Names of layers in the order of computation."""
        return (
            *(f"{kind}{i + 1}" for i in range(len(self.channels)) for kind in ("conv", "norm")),
            "head",
        )

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
        x = nn.Dense(
            last, kernel_init=nn.initializers.he_normal(), dtype=self.dtype, name=f"conv{n}"
        )(x)
        x = nn.relu(NORMS[self.norm](name=f"norm{n}")(x, train=train, mask=mask))
        x = nn.Dropout(self.dropout, deterministic=not train)(x.mean((1, 2, 3)))
        return nn.Dense(self.outputs, dtype=self.dtype, name="head")(x).astype(
            jnp.promote_types(self.dtype, jnp.float32)
        )


def sfcn(
    norm: str = "batch", dropout: float = 0.5, dtype: str = "float32", outputs: int = 1
) -> SFCN:
    """Peng's SFCN, channels 32-64-128-256-256-64. Images of at least 32 voxels an axis. Arguments
    as `densenet121`.
    """
    return SFCN((32, 64, 128, 256, 256, 64), outputs, norm, dropout, jnp.dtype(dtype))


def adapted_sfcn(
    channels: Sequence[int] = (32, 64, 128),
    norm: str = "batch",
    dropout: float = 0.5,
    dtype: str = "float32",
    outputs: int = 1,
) -> SFCN:
    """The network of FLightcase's simulation (32-64-128, made for 26^3 images); any width and depth
    by `channels`.
    """
    return SFCN(tuple(channels), outputs, norm, dropout, jnp.dtype(dtype))
