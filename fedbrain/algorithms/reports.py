"""FedAvg with one report more: the loss of the global model, how sure a client is of its model, how
far its labels are from evenly spread, or how much worse than its own the global model is.

References:
  Matena and Raffel (2022), Fisher-weighted merging, https://arxiv.org/abs/2111.09832
  Ye et al. (2023), FedDisco, https://arxiv.org/abs/2305.19229
  Zhang et al. (2023), generalization adjustment, https://openreview.net/forum?id=9Bnhplqp-E
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array

from fedbrain.algorithms.personal import own_model
from fedbrain.algorithms.running import nothing_yet, observe, running_mean
from fedbrain.algorithms.variant import Finish, Sent, Start, Step, Variant, shared_only


def report_global_loss() -> Variant:
    """FedAvg, where a client reports `global_loss`: F_i(w), the mean loss of the model it received.

    Measured on the batches it trains on, one forward pass more for each; what `q_fedavg` and
    `agnostic` need.

    >>> from fedbrain.algorithms.quadratic import local_rounds
    >>> local_rounds(report_global_loss())
    ([3.0, 3.0], [0.0, 0.0])
    """

    def begin(start: Start):
        zeros = {"loss": jnp.zeros((), jnp.float32), "count": jnp.zeros((), jnp.float32)}
        return (start.params, start.model_state), zeros

    def gradient(step: Step):
        (anchor, model_state), seen = step.context
        _, (_, metrics) = step.gradient_at(anchor, model_state)
        seen = {name: seen[name] + metrics[name].astype(jnp.float32) for name in seen}
        return *step.gradient_at(step.params, step.model_state), ((anchor, model_state), seen)

    def finish(end: Finish) -> Sent:
        seen = end.context[1]
        return Sent(metrics={"global_loss": seen["loss"] / jnp.maximum(seen["count"], 1)})

    return Variant(begin=begin, gradient=gradient, finish=finish)


def report_fisher(damping: float = 1e-8) -> Variant:
    """FedAvg, where a client uploads its Fisher information: F_i, what `fisher_mean` needs.

    F_i is the mean squared batch gradient over the local steps plus damping.

    Args:
      damping: added to every F_i, 1e-8 arbitrary; large values give the uniform mean.

    >>> from fedbrain.algorithms.quadratic import local_rounds
    >>> local_rounds(report_fisher())
    ([3.0, 3.0], [0.0, 0.0])
    """
    if not damping > 0:
        raise ValueError(f"Expected damping={damping} > 0.")

    def begin(start: Start):
        return nothing_yet(start.params)

    def gradient(step: Step):
        grads, aux = step.gradient_at(step.params, step.model_state)
        return grads, aux, observe(step.context, jax.tree.map(jnp.square, grads))

    def finish(end: Finish) -> Sent:
        information = jax.tree.map(lambda f: f + damping, running_mean(end.context))
        return Sent(shared_only(information, end.delta))

    return Variant(begin=begin, gradient=gradient, finish=finish)


def report_discrepancy(bins: int, low: float = -0.5, width: float = 1.0) -> Variant:
    """FedAvg, where a client reports `discrepancy`: how far its labels are from evenly spread, what
    `feddisco` needs.

    d_i = ||D_i - 1/bins||, D_i the shares of the bins among the labels of a round's batches: 0 for
    even shares, sqrt(1 - 1/bins) for one bin alone.

    Args:
      bins: of the labels; as it stands, as many as classes.
      low: where the first bin begins; labels beyond the ends are in the first and the last bin.
      width: of a bin; for ages 20 to 80 in tens, `report_discrepancy(6, low=20.0, width=10.0)`.

    >>> from fedbrain.algorithms.quadratic import local_rounds
    >>> local_rounds(report_discrepancy(bins=4))
    ([3.0, 3.0], [0.0, 0.0])
    """
    if bins < 2 or not width > 0:
        raise ValueError(f"Expected bins >= 2 and width > 0, got {(bins, width)}.")

    def begin(start: Start):
        del start
        return jnp.zeros(bins, jnp.float32)

    def gradient(step: Step):
        place = jnp.floor((jnp.asarray(step.batch["target"]) - low) / width)
        place = jnp.clip(place, 0, bins - 1).astype(jnp.int32)
        counts = step.context.at[place].add(jnp.asarray(step.batch["mask"], jnp.float32))
        return *step.gradient_at(step.params, step.model_state), counts

    def finish(end: Finish) -> Sent:
        shares = end.context / jnp.maximum(end.context.sum(), 1)
        return Sent(metrics={"discrepancy": jnp.linalg.norm(shares - 1 / bins)})

    return Variant(begin=begin, gradient=gradient, finish=finish)


def report_gap() -> Variant:
    """FedAvg, where a client reports `gap`: F_i(w) - F_i(y_i), how much worse on its data the
    global model is than its own of its last round, what `generalization_adjustment` needs.

    Both losses are means over the batches it trains on, two forward passes more for each. The gap
    of a client's first round is 0.

    >>> from fedbrain.algorithms.quadratic import local_rounds
    >>> local_rounds(report_gap())
    ([3.0, 3.0], [0.0, 0.0])
    """

    def begin(start: Start):
        zero = jnp.zeros((), jnp.float32)
        return ((start.params, start.model_state), start.control), zero, zero

    def gradient(step: Step):
        (received, own), gap, count = step.context

        def loss(params, model_state) -> Array:
            metrics = step.gradient_at(params, model_state)[1][1]
            return metrics["loss"].astype(jnp.float32)

        grads, (model_state, metrics) = step.gradient_at(step.params, step.model_state)
        gap = gap + loss(*received) - loss(*own)
        context = ((received, own), gap, count + metrics["count"].astype(jnp.float32))
        return grads, (model_state, metrics), context

    def finish(end: Finish) -> Sent:
        _, gap, count = end.context
        control = own_model({"params": end.params, **end.model_state})
        return Sent(control=control, metrics={"gap": gap / jnp.maximum(count, 1)})

    return Variant(client_init=own_model, begin=begin, gradient=gradient, finish=finish)
