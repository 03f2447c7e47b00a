"""The gradient of a batch, computed part after part: the memory of one part, the step of the whole.

    g = sum_j n_j g_j / sum_j n_j        n_j real examples of part j, g_j the gradient of their mean
    loss

Without batch normalisation this is the gradient of the whole batch. Batch normalisation sees one
part at a time, and its running statistics follow one part after the other, as in every framework
that accumulates gradients.
"""

from typing import Any

import jax
import jax.numpy as jnp

from fedbrain.algorithms.variant import GradientAt
from fedbrain.training.meshes import spread
from fedbrain.types import Batch, Key, ModelState, Params, TrainingLoss


def gradient_of(loss: TrainingLoss, batch: Batch, key: Key, *, parts: int) -> GradientAt:
    """(params, model_state) -> (gradient of the mean loss, (model_state, metrics)).

    Args:
      loss: of a task.
      batch: its leading axis is a multiple of `parts`.
      key: of dropout; every part has its own.
      parts: how many.

    >>> from fedbrain.algorithms.quadratic import quadratic_batch, quadratic_task
    >>> loss, batch = quadratic_task().loss, quadratic_batch(4.0)
    >>> gradient_at = gradient_of(loss, batch, jax.random.key(0), parts=1)
    >>> gradient_at({"w": jnp.zeros(1)}, {})[0]["w"].tolist()
    [-4.0]
    """
    whole = jax.grad(loss, has_aux=True)
    if parts == 1:
        return lambda params, model_state: whole(params, model_state, batch, key)

    def in_parts(params: Params, model_state: ModelState):
        def add(carry: Any, part: tuple[Batch, Key]):
            total, state, metrics = carry
            g, (after, m) = whole(params, state, *part)
            n = m["count"]
            total = jax.tree.map(lambda a, b: a + n * b, total, g)
            state = jax.tree.map(
                lambda new, old: jnp.where(n > 0, new, old), after, state
            )  # padding teaches nothing
            return (total, state, jax.tree.map(jnp.add, metrics, m)), None

        split = jax.tree.map(lambda x: jnp.reshape(x, (parts, -1, *x.shape[1:])), dict(batch))
        split = spread(split, axis=1)  # each part over all devices that share the batch
        first = (jax.tree.map(lambda x: x[0], split), key)
        shapes = jax.eval_shape(whole, params, model_state, *first)[1][1]
        zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
        start = (jax.tree.map(jnp.zeros_like, params), model_state, zeros)
        (total, state, metrics), _ = jax.lax.scan(add, start, (split, jax.random.split(key, parts)))
        return jax.tree.map(lambda g: g / jnp.maximum(metrics["count"], 1), total), (state, metrics)

    return in_parts
