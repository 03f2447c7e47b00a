"""DenseNet-121 for volumes, layer for layer MONAI's `DenseNet121(spatial_dims=3)`: 11,243,649
parameters.

References:
  Huang et al. (2017), https://arxiv.org/abs/1608.06993
"""

from collections.abc import Sequence

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, Inexact

from fedbrain.models.layers import NORMS, Conv, Volume, avg_pool, max_pool, require_size


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
        between = [
            name for b in range(1, len(self.blocks) + 1) for name in (f"block{b}", f"transition{b}")
        ]
        return ("conv0", "norm0", *between[:-1], "norm5", "head")

    @nn.compact
    def __call__(
        self, image: Volume, *, train: bool, mask: Float[Array, " b"] | None = None
    ) -> Inexact[Array, "b outputs"]:
        require_size(image, 29, "densenet")
        kernel_init = nn.initializers.he_normal()

        def norm_relu(net: nn.Module, x: Array, name: str) -> Array:
            return nn.relu(NORMS[self.norm](name=name, parent=net)(x, train=train, mask=mask))

        def pointwise(
            net: nn.Module, x: Array, features: int, name: str
        ) -> Array:  # a 1x1x1 convolution
            dense = nn.Dense(
                features,
                use_bias=False,
                kernel_init=kernel_init,
                dtype=self.dtype,
                name=name,
                parent=net,
            )
            return dense(x)

        def layer(net: nn.Module, x: Array, prefix: str) -> Array:
            y = pointwise(
                net,
                norm_relu(net, x, prefix + "norm1"),
                self.bottleneck * self.growth,
                prefix + "conv1",
            )
            y = norm_relu(net, y, prefix + "norm2")
            y = Conv(
                self.growth, 3, use_bias=False, dtype=self.dtype, name=prefix + "conv2", parent=net
            )(y)
            y = nn.Dropout(self.dropout, deterministic=not train, parent=net)(y)
            return jnp.concatenate([x, y], axis=-1)

        if self.remat:
            layer = nn.remat(layer, static_argnums=(2,))
        x = Conv(self.init_features, 7, stride=2, use_bias=False, dtype=self.dtype, name="conv0")(
            image
        )
        x = max_pool(norm_relu(self, x, "norm0"), 3, stride=2, pad=1)
        for b, layers in enumerate(self.blocks, start=1):
            for i in range(1, layers + 1):
                x = layer(self, x, f"block{b}_layer{i}_")
            if b < len(self.blocks):
                x = pointwise(
                    self,
                    norm_relu(self, x, f"transition{b}_norm"),
                    x.shape[-1] // 2,
                    f"transition{b}_conv",
                )
                x = avg_pool(x)
        x = norm_relu(self, x, "norm5").mean((1, 2, 3))
        return nn.Dense(self.outputs, dtype=self.dtype, name="head")(x).astype(
            jnp.promote_types(self.dtype, jnp.float32)
        )


def densenet121(
    norm: str = "batch",
    dropout: float = 0.0,
    dtype: str = "float32",
    remat: bool = False,
    outputs: int = 1,
) -> DenseNet:
    """DenseNet-121. Images of at least 29 voxels an axis.

    Args:
      norm: "batch" or "group".
      dropout: rate after each dense layer.
      dtype: of the computation, "float32" or "bfloat16"; parameters are float32.
      remat: computes every dense layer anew on the way back: less memory, more time.
      outputs: width of the last layer; set by the loss.
    """
    return DenseNet(
        outputs=outputs, norm=norm, dropout=dropout, dtype=jnp.dtype(dtype), remat=remat
    )
