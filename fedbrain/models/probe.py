"""A layer of a network alone, with its gradient, to measure how fast a machine is."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fedbrain.models.convolution import conv3d
from fedbrain.models.layers_outline import Layer

MOST_OPERATIONS = 2e9  # of the forward pass: a fraction of a second on one core


class Probe(NamedTuple):
    """A computation of known size."""

    function: Callable[..., Any]  # gradients of a layer in its input and its kernel
    arguments: tuple[jax.Array, jax.Array]
    operations: float  # multiplications and additions of the layer's forward pass


def costliest(layers: Sequence[Layer]) -> Layer:
    """The layer with the most operations.

    Args:
      layers: of a network.
    """
    return max(layers, key=lambda layer: layer.operations)


def probe_of(layer: Layer) -> Probe:
    """A layer on as much of its input as takes a moment.

    Args:
      layer: with a kernel.

    >>> probe = probe_of(Layer("head", 4, 64, 0, input=(4, 8), kernel=(8, 1)))
    >>> [gradient.shape for gradient in probe.function(*probe.arguments)], probe.operations
    ([(4, 8), (8, 1)], 64.0)
    """
    batch, *space, channels = layer.input
    share = MOST_OPERATIONS / max(layer.operations, 1)
    kept = max(1, min(batch, math.floor(batch * share)))
    shrink = min(1.0, share * batch / kept) ** (1 / max(1, len(space)))
    small = [max(math.ceil(n * shrink), min(n, 8)) for n in space]
    voxels = layer.values // layer.kernel[-1] // batch
    stride = max(1, round((math.prod(space) / max(voxels, 1)) ** (1 / 3)))
    done = kept * math.prod(small) / (batch * math.prod(space))

    def total(x: jax.Array, kernel: jax.Array) -> jax.Array:
        y = x @ kernel if kernel.ndim == 2 else conv3d(x, kernel, stride)
        return (y**2).sum()

    arguments = (jnp.ones((kept, *small, channels)), jnp.ones(layer.kernel))
    return Probe(jax.grad(total, argnums=(0, 1)), arguments, layer.operations * done)
