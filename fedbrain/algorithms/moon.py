"""MOON: the features of the local model are drawn to those of the global one, and away from those
of the local model of the client's last round.

    loss  F_i(y) - mu log(e^(cos(z, z_w) / t) / (e^(cos(z, z_w) / t) + e^(cos(z, z_i) / t)))

z, z_w and z_i enter the last layer of y, of the global and of the client's last model, for the same
batch. A step costs three forward passes and one backward.

References:
  Li et al. (2021), https://arxiv.org/abs/2103.16257 (from memory)
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fedbrain.algorithms.personal import own_model
from fedbrain.algorithms.variant import Finish, Seen, Sent, Start, Step, Variant

TINY = 1e-12  # squared length of what counts as 0


def cosine(a: Float[Array, "b f"], b: Float[Array, "b f"]) -> Float[Array, " b"]:
    """The cosine of every row with its fellow; 0, with gradient 0, where one of them is 0.

    >>> cosine(jnp.array([[3.0, 4.0], [0.0, 0.0]]), jnp.array([[6.0, 8.0], [1.0, 0.0]])).tolist()
    [1.0, 0.0]
    """
    first, second = jnp.square(a).sum(1), jnp.square(b).sum(1)
    long = (first > TINY) & (second > TINY)
    lengths = jnp.sqrt(jnp.where(long, first, 1)) * jnp.sqrt(jnp.where(long, second, 1))
    return jnp.where(long, (a * b).sum(1) / lengths, 0)


def moon(penalty: float = 1.0, temperature: float = 0.5) -> Variant:
    """FedAvg with a contrastive term on what enters the last layer.

    Args:
      penalty: mu >= 0; the authors try .1 to 10.
      temperature: t, .5 as published.

    >>> from fedbrain.algorithms.quadratic import local_rounds
    >>> local_rounds(moon())  # of one feature the cosine is 1 or -1, and its gradient 0
    ([3.0, 3.0], [0.0, 0.0])
    """
    if not penalty >= 0 or not temperature > 0:
        raise ValueError(
            f"Expected penalty >= 0 and temperature > 0, got {(penalty, temperature)}."
        )

    def begin(start: Start):
        return (start.params, start.model_state), start.control

    def gradient(step: Step):
        received, last = step.context

        def contrast(seen: Seen) -> Array:
            near, far = (cosine(seen.features, seen.features_of(*m)) for m in (received, last))
            each = jax.nn.softplus((far - near) / temperature)
            mask = jnp.asarray(seen.batch["mask"])
            return penalty * (each * mask).sum() / jnp.maximum(mask.sum(), 1)

        return *step.gradient_at(step.params, step.model_state, contrast), step.context

    def finish(end: Finish) -> Sent:
        return Sent(control=own_model({"params": end.params, **end.model_state}))

    return Variant(client_init=own_model, begin=begin, gradient=gradient, finish=finish)
