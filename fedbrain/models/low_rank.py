"""Low-rank changes of frozen kernels: few numbers train, and few are sent.

    K <- K + A B        K: a kernel [..., i, o] as a matrix [... i, o], A [... i, r], B [r, o]

A starts at random and B at zero, so that the network starts as it was. Both are leaves beside the
kernel, which any network's leaves are: `conv1/kernel`, `conv1/kernel_down` (A), `conv1/kernel_up`
(B). The last layer has none.

References:
  Hu et al. (2022), https://arxiv.org/abs/2106.09685
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from fedbrain.types import Key, Params, Variables

KERNEL, DOWN, UP = "kernel", "kernel_down", "kernel_up"
FACTORS = (DOWN, UP)
WITHOUT = ("head", "head_covariates")  # layers that train as they are


class LowRank:
    """A network with factors beside its kernels.

    Args:
      network: a Flax module, or what applies one.
      rank: r; less where a kernel has fewer rows or columns.
    """

    def __init__(self, network: Any, rank: int):
        self.network, self.rank = network, rank

    def init(self, key: Key, *args: Any, **keywords: Any) -> Variables:
        """As `network.init`, with the factors."""
        variables = self.network.init(key, *args, **keywords)
        return {**variables, "params": with_factors(variables["params"], key, self.rank)}

    def apply(self, variables: Variables, *args: Any, **keywords: Any) -> Any:
        """As `network.apply`, with the changed kernels."""
        return self.network.apply(merged(variables), *args, **keywords)


def with_factors(params: Params, key: Key, rank: int) -> Params:
    """Parameters with A, normal with variance 1 / rows, and B = 0 beside every kernel.

    >>> params = {"conv": {"kernel": jnp.ones((3, 2, 5))}, "head": {"kernel": jnp.ones((5, 1))}}
    >>> jax.tree.map(jnp.shape, with_factors(params, jax.random.key(0), rank=2)["conv"])
    {'kernel': (3, 2, 5), 'kernel_down': (6, 2), 'kernel_up': (2, 5)}

    Args:
      params: of a network.
      key: of A.
      rank: r.
    """
    layers = sorted(name for name, layer in params.items() if _has_kernel(name, layer))

    def factors(kernel: Array, key: Key) -> dict[str, Array]:
        columns = kernel.shape[-1]
        rows = kernel.size // columns
        r = min(rank, rows, columns)
        a = jax.random.normal(key, (rows, r), kernel.dtype) / np.sqrt(rows).astype(kernel.dtype)
        return {DOWN: a, UP: jnp.zeros((r, columns), kernel.dtype)}

    keys = dict(zip(layers, jax.random.split(key, max(len(layers), 1))))
    return {
        name: {**layer, **factors(layer[KERNEL], keys[name])} if name in keys else layer
        for name, layer in params.items()
    }


def merged(variables: Variables) -> Variables:
    """The variables of the network itself: kernels with their change, and no factors. Variables
    without factors are returned as they are.

    >>> layer = {"kernel": jnp.zeros((1, 2)), "kernel_down": jnp.ones((1, 1))}
    >>> layer["kernel_up"] = jnp.array([[3.0, 4.0]])
    >>> merged({"params": {"conv": layer}})["params"]["conv"]["kernel"].tolist()
    [[3.0, 4.0]]
    """
    return {**variables, "params": {name: _merge(x) for name, x in variables["params"].items()}}


def _has_kernel(name: str, layer: Any) -> bool:
    return name not in WITHOUT and isinstance(layer, Mapping) and KERNEL in layer


def _merge(layer: Any) -> Any:
    if not isinstance(layer, Mapping) or DOWN not in layer:
        return layer
    kernel, down, up = layer[KERNEL], layer[DOWN], layer[UP]
    plain = {name: x for name, x in layer.items() if name not in FACTORS}
    return {**plain, KERNEL: kernel + (down @ up).reshape(kernel.shape)}
