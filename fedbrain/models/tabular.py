"""Networks for flat features: region volumes, and the problems of studies of algorithms."""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float


class Perceptron(nn.Module):
    """Fully connected layers with ReLU; without hidden layers a linear model that starts at 0."""

    widths: tuple[int, ...]
    outputs: int

    @nn.compact
    def __call__(
        self, image: Float[Array, "b *features"], *, train: bool = False, mask: Array | None = None
    ):
        del train, mask  # neither dropout nor normalisation
        x = image.reshape(image.shape[0], -1).astype(jnp.float32)
        for i, width in enumerate(self.widths):
            x = nn.relu(nn.Dense(width, name=f"hidden{i}")(x))
        initial = nn.initializers.lecun_normal() if self.widths else nn.initializers.zeros
        return nn.Dense(self.outputs, kernel_init=initial, name="head")(x)


def linear(outputs: int = 1) -> nn.Module:
    """A linear model that starts at 0.

    Args:
      outputs: width of the last layer.
    """
    return Perceptron((), outputs)


def mlp(widths: tuple[int, ...] = (32,), outputs: int = 1) -> nn.Module:
    """A multi-layer perceptron with ReLU.

    Args:
      widths: of the hidden layers.
      outputs: width of the last layer.
    """
    if not widths or min(widths) < 1:
        raise ValueError(f"Expected widths of at least one hidden layer, got {widths}.")
    return Perceptron(tuple(widths), outputs)


TABULAR = {"linear": linear, "mlp": mlp}
