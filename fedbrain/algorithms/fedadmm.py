"""FedADMM: every client has a price of disagreeing with the global model, and sends the change of
its model with that price added.

    local   g <- g_i(y) + l_i + rho (y - w)
    client  l_i <- l_i + rho (y_i - w),    u_i <- y_i + l_i / rho,    sends the change of u_i
    server  w <- w + s D,    s = sum_{i present} n_i / n

So w stays the mean of the u_i of all clients, absent ones too. At rest y_i = w and l_i = -g_i(w),
whose mean is 0: w is the optimum of sum_i n_i F_i.

References:
  Gong et al. (2022), https://arxiv.org/abs/2204.03529 (from memory)
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fedbrain.algorithms.running import share_of_all
from fedbrain.algorithms.variant import Finish, Sent, Start, Step, Variant, add_shared, shared_only
from fedbrain.types import Params, Update


class FedADMMServer(NamedTuple):
    """The server's memory."""

    examples: Float[Array, ""]  # of all registered clients
    shared: Params  # one 0 for every shared leaf: which these are


class FedADMMClient(NamedTuple):
    """A client's memory."""

    price: Params  # l_i
    told: Params  # u_i


class FedADMMContext(NamedTuple):
    """Carried through the local steps, of the shared leaves."""

    anchor: Params  # w
    price: Params  # l_i


def fedadmm(penalty: float = 0.1) -> Variant:
    """A dual variable at every client, of which the server only sees the change of a sum.

    Args:
      penalty: rho > 0; .1 is arbitrary.

    >>> from fedbrain.algorithms.quadratic import local_rounds
    >>> local_rounds(fedadmm(penalty=1.0))  # the price is 2, then 3
    ([4.0, 0.0], [0.0, 0.0])
    """
    if not penalty > 0:
        raise ValueError(f"Expected penalty={penalty} > 0.")

    def gradient(step: Step):
        grads, aux = step.gradient_at(step.params, step.model_state)
        here = shared_only(step.params, step.context.anchor)
        pull = jax.tree.map(lambda y, w, price: price + penalty * (y - w), here, *step.context)
        return add_shared(grads, pull), aux, step.context

    def finish(end: Finish) -> Sent:
        moved = jax.tree.map(lambda d: penalty * d, end.delta)
        price = add_shared(end.control.price, moved)
        now = jax.tree.map(lambda y, price: y + price / penalty, *_shared(end, end.params, price))
        change = jax.tree.map(jnp.subtract, now, *_shared(end, end.control.told))
        return Sent(
            control=FedADMMClient(price, add_shared(end.control.told, change)), delta=change
        )

    return Variant(_server_init, _client_init, _begin, gradient, finish, _server)


def _server_init(shared: Params, examples: Array) -> FedADMMServer:
    zeros = jax.tree.map(lambda x: jnp.zeros((), x.dtype), shared)
    return FedADMMServer(examples.sum(), zeros)


def _client_init(variables) -> FedADMMClient:
    first = variables["params"]
    return FedADMMClient(jax.tree.map(jnp.zeros_like, first), first)


def _begin(start: Start) -> FedADMMContext:
    shared = start.extra.shared
    price = shared_only(start.control.price, shared)
    return FedADMMContext(shared_only(start.params, shared), price)


def _server(memory: FedADMMServer, update: Update, direction: Params):
    share = share_of_all(update.weight, memory.examples).sum()
    return jax.tree.map(lambda d: share.astype(d.dtype) * d, direction), memory


def _shared(end: Finish, *trees: Params) -> list[Params]:
    return [shared_only(tree, end.delta) for tree in trees]
