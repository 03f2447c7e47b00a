"""FedDyn: a dynamic regulariser makes every client's optimum agree with the federation's.

    local   g <- g_i(y) - h_i + alpha (y - w),    h_i <- h_i - alpha D_i
    server  h <- h - alpha s D,    w <- w + D - h / alpha,    s = sum_{i present} n_i / n

D is what the rule made of the D_i, so that h sees nothing that the rule has not seen. Under the
weighted mean s D = sum_{i present} (n_i / n) D_i, as published.

References:
  Acar et al. (2021), https://arxiv.org/abs/2111.04263
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fedbrain.algorithms.running import share_of_all
from fedbrain.algorithms.variant import Finish, Sent, Start, Step, Variant, add_shared, shared_only
from fedbrain.types import Params, Update


class FedDynServer(NamedTuple):
    """The server's memory."""

    pull: Params  # h
    examples: Float[Array, ""]  # of all registered clients


class FedDynContext(NamedTuple):
    """Carried through the local steps."""

    anchor: Params  # w, of the shared leaves
    gradient: Params  # h_i


def feddyn(alpha: float = 0.1) -> Variant:
    """FedDyn with the exact local optimum replaced by local steps, as its authors run it.

    Args:
      alpha: strength of the regulariser > 0; the authors use .001 to 1.

    >>> from fedbrain.algorithms.quadratic import local_rounds
    >>> local_rounds(feddyn(alpha=0.1))
    ([2.9, 2.69], [0.0, 0.0])
    """
    if not alpha > 0:
        raise ValueError(f"Expected alpha={alpha} > 0.")

    def server_init(shared: Params, examples: Array) -> FedDynServer:
        return FedDynServer(jax.tree.map(jnp.zeros_like, shared), examples.sum())

    def client_init(variables):
        return jax.tree.map(jnp.zeros_like, variables["params"])

    def begin(start: Start) -> FedDynContext:
        shared = start.extra.pull
        return FedDynContext(shared_only(start.params, shared), shared_only(start.control, shared))

    def gradient(step: Step):
        grads, aux = step.gradient_at(step.params, step.model_state)
        anchor, own = step.context
        here = shared_only(step.params, anchor)
        pull = jax.tree.map(lambda y, w, h: alpha * (y - w) - h, here, anchor, own)
        return add_shared(grads, pull), aux, step.context

    def finish(end: Finish) -> Sent:
        return Sent((), add_shared(end.control, jax.tree.map(lambda d: -alpha * d, end.delta)))

    def server(memory: FedDynServer, update: Update, direction: Params):
        share = share_of_all(update.weight, memory.examples).sum()
        pull = jax.tree.map(lambda h, d: h + alpha * share * d, memory.pull, direction)
        return jax.tree.map(lambda d, h: d + h / alpha, direction, pull), memory._replace(pull=pull)

    return Variant(server_init, client_init, begin, gradient, finish, server)
