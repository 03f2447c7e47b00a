"""SCAFFOLD: control variates correct the drift of clients whose data differ.

    local    y <- y - h (g_i(y) + c - c_i)
    client   c_i+ = mean over the local steps of g_i(y)
    server   c <- c + sum_{i present} (n_i / n) (c_i+ - c_i)

For SGD this is the published option II, c_i+ = c_i - c + (w - y_i) / (tau h). The mean of the local
gradients needs no learning rate, and is right under schedules and other client chains. n counts the
examples of all registered clients, so that equal sizes give the published 1 / N and unequal ones
the optimum of sum n_i F_i.

References:
  Karimireddy et al. (2020), https://arxiv.org/abs/1910.06378
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fedbrain.algorithms.running import (
    Running,
    nothing_yet,
    observe,
    running_mean,
    share_of_all,
    weighted_sum,
)
from fedbrain.algorithms.variant import Finish, Sent, Start, Step, Variant, add_shared, shared_only
from fedbrain.types import Params, Update


class ScaffoldServer(NamedTuple):
    """The server's memory."""

    control: Params  # c, of the shared leaves
    examples: Float[Array, ""]  # of all registered clients


class ScaffoldContext(NamedTuple):
    """Carried through the local steps."""

    correction: Params  # c - c_i
    gradients: Running  # g_i(y), whose mean becomes c_i+


def scaffold() -> Variant:
    """Option II: the new control is the mean of the local gradients, at no extra cost.

    >>> from fedbrain.algorithms.quadratic import local_rounds
    >>> local_rounds(scaffold())
    ([3.0, 0.75], [0.0, 0.0])
    """

    def server_init(shared: Params, examples: Array) -> ScaffoldServer:
        return ScaffoldServer(jax.tree.map(jnp.zeros_like, shared), examples.sum())

    def client_init(variables):
        return jax.tree.map(jnp.zeros_like, variables["params"])

    def begin(start: Start) -> ScaffoldContext:
        own = shared_only(start.control, start.extra.control)
        correction = jax.tree.map(jnp.subtract, start.extra.control, own)
        return ScaffoldContext(correction, nothing_yet(correction))

    def gradient(step: Step):
        grads, aux = step.gradient_at(step.params, step.model_state)
        correction, gradients = step.context
        gradients = observe(gradients, shared_only(grads, correction))
        return add_shared(grads, correction), aux, ScaffoldContext(correction, gradients)

    def finish(end: Finish) -> Sent:
        zeros = jax.tree.map(jnp.zeros_like, end.control)
        new = add_shared(zeros, running_mean(end.context.gradients))
        change = shared_only(jax.tree.map(jnp.subtract, new, end.control), end.delta)
        return Sent(change, new)

    def server(memory: ScaffoldServer, update: Update, direction: Params):
        change = weighted_sum(update.extra, share_of_all(update.weight, memory.examples))
        return direction, memory._replace(control=jax.tree.map(jnp.add, memory.control, change))

    return Variant(server_init, client_init, begin, gradient, finish, server)
