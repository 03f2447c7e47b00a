"""The proximal term of FedProx, as a client link."""

from typing import NamedTuple

import jax
import optax

from fedbrain.types import Params


class ProximalState(NamedTuple):
    """Memory of `add_proximal_term`."""

    anchor: Params  # the global model at the start of the round


def add_proximal_term(mu: float) -> optax.GradientTransformation:
    """g <- g + mu (y - w): pulls the local model y towards the global model w it started from.

    Args:
      mu: strength >= 0; 0 is FedAvg. The authors use .001 to 1 and name no universal default.

    >>> import jax.numpy as jnp
    >>> link = add_proximal_term(mu=0.5)
    >>> memory = link.init(jnp.zeros(1))
    >>> link.update(jnp.ones(1), memory, jnp.full(1, 4.0))[0].tolist()
    [3.0]

    References:
      Li et al. (2020), FedProx, https://arxiv.org/abs/1812.06127
    """
    if not mu >= 0:
        raise ValueError(f"Expected mu={mu} >= 0.")

    def init(params: Params) -> ProximalState:
        return ProximalState(params)

    def update(updates, state, params=None):
        if params is None:
            raise ValueError("Expected the local model as params, got None.")
        return jax.tree.map(lambda g, y, w: g + mu * (y - w), updates, params, state.anchor), state

    return optax.GradientTransformation(init, update)
