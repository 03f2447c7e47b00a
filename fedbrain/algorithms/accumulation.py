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
from jaxtyping import Array

from fedbrain.algorithms.variant import GradientAt, Seen, Term
from fedbrain.training.meshes import spread
from fedbrain.types import Batch, Key, LossWithFeatures, Metrics, ModelState, Params, TrainingLoss


def with_term(
    loss: TrainingLoss, with_features: LossWithFeatures | None, term: Term | None
) -> TrainingLoss:
    """The loss plus a term that sees features, in one forward pass.

    Args:
      loss: of a task.
      with_features: of the task.
      term: None: the loss as it is.

    Raises:
      ValueError: for a term, and a task without features.

    >>> from fedbrain.algorithms.quadratic import quadratic_batch, quadratic_task
    >>> task = quadratic_task()
    >>> summed = with_term(task.loss, task.with_features, lambda seen: seen.features.sum())
    >>> float(summed({"w": jnp.ones(1)}, {}, quadratic_batch(4.0), jax.random.key(0))[0])
    5.5
    """
    if term is None:
        return loss
    if with_features is None:
        raise ValueError(
            "Expected a network whose last layer is called 'head', got a task without."
        )

    def summed(params: Params, model_state: ModelState, batch: Batch, key: Key):
        def features_of(params: Params, model_state: ModelState) -> Array:
            return jax.lax.stop_gradient(with_features(params, model_state, batch, key)[0][1])

        (value, features), aux = with_features(params, model_state, batch, key)
        return value + term(Seen(features, batch, features_of)), aux

    return summed


def gradient_of(
    loss: TrainingLoss,
    batch: Batch,
    key: Key,
    *,
    parts: int,
    with_features: LossWithFeatures | None = None,
) -> GradientAt:
    """(params, model_state, term) -> (gradient of the mean loss, (model_state, metrics)).

    Args:
      loss: of a task.
      batch: its leading axis is a multiple of `parts`.
      key: of dropout; every part has its own.
      parts: how many.
      with_features: of the task, for terms of the loss that see features.

    >>> from fedbrain.algorithms.quadratic import quadratic_batch, quadratic_task
    >>> loss, batch = quadratic_task().loss, quadratic_batch(4.0)
    >>> gradient_at = gradient_of(loss, batch, jax.random.key(0), parts=1)
    >>> gradient_at({"w": jnp.zeros(1)}, {})[0]["w"].tolist()
    [-4.0]
    """

    def gradient_at(params: Params, model_state: ModelState, /, term: Term | None = None):
        whole = jax.grad(with_term(loss, with_features, term), has_aux=True)
        if parts == 1:
            return whole(params, model_state, batch, key)
        return _in_parts(whole, parts, params, model_state, batch, key)

    return gradient_at


def _in_parts(
    whole: Any, parts: int, params: Params, model_state: ModelState, batch: Batch, key: Key
) -> tuple[Params, tuple[ModelState, Metrics]]:
    """What `whole` gives for a batch, from one part of it after the other."""

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
