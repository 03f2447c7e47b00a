"""FedACG: clients start where the server's momentum would carry the model.

    received  w + lambda m
    local     g <- g_i(y) + beta (y - w - lambda m)
    server    m <- lambda m + D,    w <- w + m,    D = mean_i (y_i - w - lambda m)

With a server optimiser of `sgd(1.0)` the new w is the mean of the y_i. What is tested and used is
w. The server's memory is sent with it: two models go down, and one delta up.

References:
  Kim et al. (2024), https://arxiv.org/abs/2201.03172 (its algorithm from memory)
"""

import jax
import jax.numpy as jnp

from fedbrain.algorithms.variant import Start, Step, Variant, add_shared, shared_only
from fedbrain.types import Params, Update


def fedacg(momentum: float = 0.85, penalty: float = 0.01) -> Variant:
    """Clients train from a look-ahead along the server's momentum, and are held to it by a penalty.

    Args:
      momentum: lambda, .85 as published; 0 and no penalty are FedAvg.
      penalty: beta >= 0, .01 as published.

    >>> from fedbrain.algorithms.quadratic import local_rounds
    >>> local_rounds(fedacg())
    ([2.99, 2.99], [0.0, 0.0])
    """
    if not 0 <= momentum < 1 or not penalty >= 0:
        raise ValueError(f"Expected 0 <= momentum < 1 and penalty >= 0, got {(momentum, penalty)}.")

    def server_init(shared: Params, examples: jax.Array) -> Params:
        del examples  # m is of means over those present
        return jax.tree.map(jnp.zeros_like, shared)

    def received(m: Params, shared: Params) -> Params:
        return jax.tree.map(lambda w, m: w + momentum * m, shared, m)

    def begin(start: Start) -> Params:
        return shared_only(start.params, start.extra)

    def gradient(step: Step):
        grads, aux = step.gradient_at(step.params, step.model_state)
        here = shared_only(step.params, step.context)
        pull = jax.tree.map(lambda y, w: penalty * (y - w), here, step.context)
        return add_shared(grads, pull), aux, step.context

    def server(m: Params, update: Update, direction: Params) -> tuple[Params, Params]:
        del update  # the direction is -D
        m = jax.tree.map(lambda m, d: momentum * m - d, m, direction)
        return jax.tree.map(jnp.negative, m), m

    return Variant(
        server_init=server_init, received=received, begin=begin, gradient=gradient, server=server
    )
