"""Networks around networks: layers that stand still, covariates beside the image. Neither renames a
parameter.
"""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, Inexact

from fedbrain.models.layers import BatchNorm, Volume


class Frozen:
    """A network whose frozen batch norms use their running statistics in training too, and leave
    them as they are.
    """

    def __init__(self, network: nn.Module, trainable: Callable[[str, str], bool]):
        self.network, self.trainable = network, trainable
        self.init = network.init

    def apply(self, *args: Any, **keywords: Any) -> Any:
        """As `network.apply`."""
        with nn.intercept_methods(self._intercept):
            return self.network.apply(*args, **keywords)

    def _intercept(
        self, call: Callable, args: tuple, keywords: dict, context: nn.module.InterceptorContext
    ) -> Any:
        if isinstance(context.module, BatchNorm) and context.method_name == "__call__":
            path = "/".join(context.module.path) + "/scale"
            keywords = {**keywords, "train": keywords["train"] and self.trainable("params", path)}
        return call(*args, **keywords)


class WithCovariates(nn.Module):
    """network(image) + W covariates: as if the covariates were features of the last layer. W starts
    at zero.
    """

    network: nn.Module

    def setup(self) -> None:
        nn.share_scope(self, self.network)

    @nn.compact
    def __call__(
        self,
        image: Volume,
        *,
        train: bool,
        mask: Float[Array, " b"] | None = None,
        covariates: Float[Array, "b k"],
    ) -> Inexact[Array, "b outputs"]:
        output = self.network(image, train=train, mask=mask)
        joined = nn.Dense(
            output.shape[-1],
            use_bias=False,
            kernel_init=nn.initializers.zeros,
            name="head_covariates",
        )
        return output + joined(covariates.astype(jnp.float32))

    @property
    def stages(self) -> tuple[str, ...]:
        """Of the network."""
        return self.network.stages  # pyright: ignore[reportReturnType]
