"""A layer of a network alone, with its gradient, to measure how fast a machine is."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from fedbrain.models.convolution import conv3d
from fedbrain.models.layers_outline import Layer


def costliest(layers: Sequence[Layer]) -> Layer:
    """The layer with the most operations.

    Args:
      layers: of a network.
    """
    return max(layers, key=lambda layer: layer.operations)


def forward_and_backward(layer: Layer) -> tuple[Callable[..., Any], tuple[jax.Array, jax.Array]]:
    """(a function that computes a layer and its gradients, its arguments).

    Args:
      layer: with a kernel.

    >>> layer = Layer("head", 4, 64, 0, input=(4, 8), kernel=(8, 1))
    >>> function, arguments = forward_and_backward(layer)
    >>> [gradient.shape for gradient in function(*arguments)]
    [(4, 8), (8, 1)]
    """
    x, kernel = jnp.ones(layer.input), jnp.ones(layer.kernel)
    voxels = layer.values // layer.kernel[-1] // layer.input[0]
    volume = 1
    for n in layer.input[1:-1]:
        volume *= n
    stride = max(1, round((volume / max(voxels, 1)) ** (1 / 3)))

    def total(x: jax.Array, kernel: jax.Array) -> jax.Array:
        y = x @ kernel if kernel.ndim == 2 else conv3d(x, kernel, stride)
        return (y**2).sum()

    return jax.grad(total, argnums=(0, 1)), (x, kernel)
