"""Variants that change when something trains: a tuned copy that stays, head before body, momentum
that outlives the round.

References:
  Karimireddy et al. (2021), worker momentum, https://arxiv.org/abs/2012.10333
  Collins et al. (2021), FedRep, https://arxiv.org/abs/2102.07078
"""

import jax
import jax.numpy as jnp

from fedbrain.algorithms.leaves import is_head, path_name
from fedbrain.algorithms.personal import own_model, use_own
from fedbrain.algorithms.variant import Finish, Sent, Start, Step, Variant


def fine_tuned() -> Variant:
    """FedAvg, where a client uses the global model after its own local steps: fine-tuning as long
    as a round's training.

    >>> from fedbrain.algorithms.quadratic import local_rounds
    >>> local_rounds(fine_tuned())
    ([3.0, 3.0], [3.0, 3.0])
    """

    def finish(end: Finish) -> Sent:
        control = own_model({"params": end.params, **end.model_state})
        return Sent((), control)

    return Variant(client_init=own_model, finish=finish, personal=use_own)


def fedrep(head_steps: int) -> Variant:
    """The private head trains first, with the body standing still, then the body; to be used with
    `without_head()`.

    Args:
      head_steps: local steps of the head; the rest of the round's steps are the body's.

    >>> from fedbrain.algorithms.quadratic import local_rounds
    >>> local_rounds(fedrep(head_steps=1))
    ([2.0, 2.0], [0.0, 0.0])
    """
    if head_steps < 0:
        raise ValueError(f"Expected head_steps={head_steps} >= 0.")

    def begin(start: Start):
        del start
        return jnp.zeros((), jnp.int32)

    def gradient(step: Step):
        grads, aux = step.gradient_at(step.params, step.model_state)
        head_now = step.context < head_steps

        def masked(path, g):
            return jnp.where(head_now == is_head(path_name(path)), g, 0)

        return jax.tree_util.tree_map_with_path(masked, grads), aux, step.context + 1

    return Variant(begin=begin, gradient=gradient)


def worker_momentum(beta: float = 0.9) -> Variant:
    """m_i <- beta m_i + (1 - beta) g, kept by the client between rounds: what attackers hide
    behind, noise, shrinks.

    Args:
      beta: .9 as published.

    >>> from fedbrain.algorithms.quadratic import local_rounds
    >>> local_rounds(worker_momentum())
    ([0.57, 1.186], [0.0, 0.0])
    """
    if not 0 <= beta < 1:
        raise ValueError(f"Expected 0 <= beta={beta} < 1.")

    def client_init(variables):
        return jax.tree.map(jnp.zeros_like, variables["params"])

    def begin(start: Start):
        return start.control

    def gradient(step: Step):
        grads, aux = step.gradient_at(step.params, step.model_state)
        momentum = jax.tree.map(lambda m, g: beta * m + (1 - beta) * g, step.context, grads)
        return momentum, aux, momentum

    def finish(end: Finish) -> Sent:
        return Sent((), end.context)

    return Variant(client_init=client_init, begin=begin, gradient=gradient, finish=finish)
