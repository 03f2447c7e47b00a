"""FedAvg, where a client reports what the last model would have been worth without it.

    w_-i = (w - c_i y_i) / (1 - c_i)        w = sum_j c_j y_j: y_i is client i's last local model
    reports F_i(w_-i)

c_i is what the client weighed in the last round, read off what the rule returned: the combination
of updates that is nearest to it. The server sends all c with the model. A client does not know its
place among them, and finds its own by the length of the update that it sent.

References:
  Jiang et al. (2023), https://arxiv.org/abs/2303.16520
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fedbrain.aggregators.matrix import as_matrix, as_vector
from fedbrain.algorithms.diagnostics import diagnose
from fedbrain.algorithms.variant import Finish, Sent, Start, Step, Variant
from fedbrain.types import PLACE, ModelState, Params, Update, Variables

ALONE = 0.999  # of a client with a larger share nothing is left that could be told


class Weighed(NamedTuple):
    """The server's memory: the last round."""

    lengths: Float[Array, " clients"]  # ||D_i||, 0 where absent
    shares: Float[Array, " clients"]  # c, 0 where absent


class Departed(NamedTuple):
    """A client's memory: what it sent last."""

    params: Params  # y_i
    length: Float[Array, ""]  # ||D_i||


class LeftOutContext(NamedTuple):
    """Carried through the local steps."""

    params: Params  # w_-i
    model_state: ModelState  # of w
    loss: Float[Array, ""]  # sum over examples
    count: Float[Array, ""]  # examples


def report_left_out_loss() -> Variant:
    """FedAvg, where a client reports `left_out_loss`: the mean loss of the last global model
    without the client's own, what `fedce` needs.

    Measured on the batches it trains on, one forward pass more for each; the authors take
    validation data. It is the loss of the global model for a client that was not part of it. It
    holds for a server optimiser of `sgd(1.0)`, which leaves w at the combination of local models.

    >>> from fedbrain.algorithms.quadratic import local_rounds
    >>> local_rounds(report_left_out_loss())
    ([3.0, 3.0], [0.0, 0.0])
    """
    return Variant(_server_init, _client_init, _begin, _gradient, _finish, _server)


def without_own(w: Params, y: Params, share: Float[Array, ""]) -> Params:
    """(w - c y) / (1 - c); w where c is 0, or so near to 1 that nobody else is there.

    >>> without_own({"w": jnp.array(3.0)}, {"w": jnp.array(6.0)}, jnp.array(0.25))
    {'w': Array(2., dtype=float32)}
    """
    c = jnp.where((share > 0) & (share < ALONE), share, 0)
    return jax.tree.map(lambda w, y: ((w - c * y) / (1 - c)).astype(w.dtype), w, y)


def _server_init(shared: Params, examples: Float[Array, " clients"]) -> Weighed:
    del shared  # two numbers for each client
    zeros = jnp.zeros(examples.shape, jnp.float32)
    return Weighed(zeros, zeros)


def _client_init(variables: Variables) -> Departed:
    return Departed(variables["params"], jnp.full((), -1.0, jnp.float32))


def _begin(start: Start) -> LeftOutContext:
    lengths, shares = start.extra
    share = jnp.where(lengths == start.control.length, shares, 0).max()
    zero = jnp.zeros((), jnp.float32)
    params = without_own(start.params, start.control.params, share)
    return LeftOutContext(params, start.model_state, zero, zero)


def _gradient(step: Step):
    seen = step.context
    _, (_, metrics) = step.gradient_at(seen.params, seen.model_state)
    loss, count = (metrics[name].astype(jnp.float32) for name in ("loss", "count"))
    seen = seen._replace(loss=seen.loss + loss, count=seen.count + count)
    return *step.gradient_at(step.params, step.model_state), seen


def _finish(end: Finish) -> Sent:
    squares = [jnp.square(d.astype(jnp.float32)).sum() for d in jax.tree.leaves(end.delta)]
    length = jnp.sqrt(jnp.asarray(sum(squares), jnp.float32))
    loss = end.context.loss / jnp.maximum(end.context.count, 1)
    metrics = {"left_out_loss": loss, "sent_length": length}
    return Sent(control=Departed(end.params, length), metrics=metrics)


def _server(memory: Weighed, update: Update, direction: Params) -> tuple[Params, Weighed]:
    x = -as_matrix(update.delta)[0]
    weighed = diagnose(x, update.weight, as_vector(direction))["effective_weight"]
    clients, rows = memory.shares.size, jnp.arange(update.weight.size)
    places = update.metrics.get(PLACE, rows)
    written = jnp.where(update.weight > 0, places, clients)

    def told(values: Array) -> Array:
        values = jnp.asarray(values, jnp.float32)
        return jnp.zeros(clients, jnp.float32).at[written].set(values, mode="drop")

    return direction, Weighed(told(update.metrics["sent_length"]), told(weighed))
