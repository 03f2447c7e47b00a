"""FedAvg with one report more: the loss of the global model, or how sure a client is of its model.

References:
  Matena and Raffel (2022), Fisher-weighted merging, https://arxiv.org/abs/2111.09832
"""

import jax
import jax.numpy as jnp

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
