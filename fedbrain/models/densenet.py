"""DenseNet-121 for volumes, layer for layer MONAI's `DenseNet121(spatial_dims=3)`.

It has 11,243,649 parameters.

References:
  Huang et al. (2017), https://arxiv.org/abs/1608.06993
"""

from collections.abc import Sequence
from functools import partial

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, Inexact

from fedbrain.models.layers import Conv, Pointwise, Volume, at_least_float32, require_size
from fedbrain.models.normalisation import NORMS
from fedbrain.models.pooling import avg_pool, max_pool


class DenseNet(nn.Module):
    """Densely connected network: a layer sees the outputs of all earlier layers of its block."""

    outputs: int = 1
    blocks: Sequence[int] = (6, 12, 24, 16)
    growth: int = 32
    init_features: int = 64
    bottleneck: int = 4
    norm: str = "batch"
    dropout: float = 0.0
    dtype: jnp.dtype = jnp.dtype("float32")
    remat: bool = False

    @property
    def stages(self) -> tuple[str, ...]:
        """Names of layers, or of their beginnings, in the order of computation."""
        names = ["conv0", "norm0"]
        for b in range(1, len(self.blocks) + 1):
            names += [f"block{b}", f"transition{b}"]
        return (*names[:-1], "norm5", "head")

    @nn.compact
    def __call__(
        self, image: Volume, *, train: bool, mask: Float[Array, " b"] | None = None
    ) -> Inexact[Array, "b outputs"]:
        require_size(image, 29, "densenet")

        conv = partial(Conv, use_bias=False, dtype=self.dtype)
        pointwise = partial(Pointwise, dtype=self.dtype)

        def norm_relu(net: nn.Module, x: Array, name: str) -> Array:
            return nn.relu(NORMS[self.norm](name=name, parent=net)(x, train=train, mask=mask))

        def layer(net: nn.Module, x: Array, prefix: str) -> Array:
            y = norm_relu(net, x, prefix + "norm1")
            y = pointwise(self.bottleneck * self.growth, name=prefix + "conv1", parent=net)(y)
            y = norm_relu(net, y, prefix + "norm2")
            y = conv(self.growth, 3, name=prefix + "conv2", parent=net)(y)
            y = nn.Dropout(self.dropout, deterministic=not train, parent=net)(y)
            return jnp.concatenate([x, y], axis=-1)

        if self.remat:
            layer = nn.remat(layer, static_argnums=(2,))
        x = conv(self.init_features, 7, stride=2, name="conv0")(image)
        x = max_pool(norm_relu(self, x, "norm0"), 3, stride=2, pad=1)
        for b, layers in enumerate(self.blocks, start=1):
            for i in range(1, layers + 1):
                x = layer(self, x, f"block{b}_layer{i}_")
            if b < len(self.blocks):
                x = norm_relu(self, x, f"transition{b}_norm")
                x = avg_pool(pointwise(x.shape[-1] // 2, name=f"transition{b}_conv")(x))
        x = norm_relu(self, x, "norm5").mean((1, 2, 3))
        y = nn.Dense(self.outputs, dtype=self.dtype, name="head")(x)
        return at_least_float32(y)


def densenet121(
    norm: str = "batch",
    dropout: float = 0.0,
    dtype: str = "float32",
    remat: bool = False,
    outputs: int = 1,
) -> DenseNet:
    """DenseNet-121 for images of at least 29 voxels an axis.

    Args:
      norm: "batch" or "group".
      dropout: rate after each dense layer.
      dtype: of the computation, "float32" or "bfloat16"; parameters are float32.
      remat: recomputes every dense layer in the backward pass: less memory, more time.
      outputs: width of the last layer; set by the loss.
    """
    return DenseNet(
        outputs=outputs, norm=norm, dropout=dropout, dtype=jnp.dtype(dtype), remat=remat
    )
