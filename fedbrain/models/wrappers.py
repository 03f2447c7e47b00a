"""Networks around networks: frozen layers, covariates. Parameters keep their names."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, Inexact

from fedbrain.models.layers import Volume
from fedbrain.models.normalisation import BatchNorm


class Frozen:
    """A network whose frozen batch norms use their running statistics in training too.

    Those running statistics do not change.

    Args:
      network: a Flax module.
      trainable: (collection, path of a leaf) -> whether it is trained.
    """

    def __init__(self, network: nn.Module, trainable: Callable[[str, str], bool]):
        self.network = network
        self.trainable = trainable
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
    """network(image) + W covariates, as if covariates were features of the last layer.

    W starts at zero.
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
        init = nn.initializers.zeros
        outputs = output.shape[-1]
        linear = nn.Dense(outputs, use_bias=False, kernel_init=init, name="head_covariates")
        return output + linear(covariates.astype(jnp.float32))

    @property
    def stages(self) -> tuple[str, ...]:
        """Names of the network's layers in the order of computation."""
        return self.network.stages  # pyright: ignore[reportReturnType]
