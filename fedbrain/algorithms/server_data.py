"""A server with examples of its own: what it does to the model once a cohort has become one. For
studies, where `config.server.trusted` names who holds these examples.

    w_i = w + D_i                       local models of those present, without the server's own
    feddf   w <- w - h grad KL(q || p_w(x)),    q = softmax(mean_i log p_i(x)): images, no labels
    fedlaw  w <- gamma sum_i l_i w_i,   l and gamma by gradient descent on F_server

Of numbers in place of classes FedDF's teacher is the mean prediction, and its distance half the
square.

References:
  Lin et al. (2020), FedDF, https://arxiv.org/abs/2006.07242
  Li et al. (2023), FedLAW, https://arxiv.org/abs/2302.10911
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from fedbrain.aggregators.cohort import normalised
from fedbrain.algorithms.arriving import Arrive
from fedbrain.algorithms.leaves import combine
from fedbrain.training.simulate import Refine
from fedbrain.types import Algorithm, Batch, Params, PyTree, ServerState, Task, Update

MOMENTUM = 0.9  # of the server's gradient descent, as FedLAW's


class Ensemble(NamedTuple):
    """What the server starts from: shared leaves as vectors."""

    model: Float[Array, " p"]  # after the server's step
    local: Float[Array, "clients p"]  # w_i, 0 where absent
    weights: Float[Array, " clients"]  # training examples; 0 = absent
    params_of: Callable[[Array], Params]  # a vector with the leaves that are not shared


# (the ensemble, the server's model state, its examples) -> the model [p]
Change = Callable[[Ensemble, PyTree, Batch], Float[Array, " p"]]


def none(*, task: Task) -> None:
    """The model stays what the rule and the server's optimiser made of it.

    Args:
      task: of the study; set by the program.

    >>> from fedbrain.algorithms.quadratic import quadratic_task
    >>> none(task=quadratic_task())
    """
    del task


def feddf(steps: int = 20, learning_rate: float = 0.1, *, task: Task) -> Change:
    """The model learns what the local models say together of the server's images.

    >>> from fedbrain.algorithms.quadratic import quadratic_batch, quadratic_task
    >>> two = Ensemble(jnp.zeros(1), jnp.array([[1.0], [3.0]]), jnp.ones(2), lambda w: {"w": w})
    >>> change = feddf(steps=1, learning_rate=0.5, task=quadratic_task())
    >>> change(two, {}, quadratic_batch()).tolist()  # halfway to 2, what they say together
    [1.0]

    Args:
      steps: of gradient descent on all of the server's examples, in every round; arbitrary.
      learning_rate: of them; arbitrary. The authors use Adam until a validation loss rests.
      task: of the study; set by the program.
    """
    _require_descent(steps, learning_rate)

    def change(ensemble: Ensemble, state: PyTree, batch: Batch) -> Array:
        def predicted(vector: Array) -> Array:
            return task.evaluate(ensemble.params_of(vector), state, batch)[0]

        present = ensemble.weights > 0
        told = jax.vmap(predicted)(ensemble.local)
        classes = told.ndim == 3
        said = jnp.log(jnp.maximum(told, 1e-30)) if classes else told
        mean = jnp.tensordot(normalised(present.astype(said.dtype)), said, 1)
        teacher = jax.nn.softmax(mean) if classes else mean
        count = jnp.maximum(jnp.asarray(batch["mask"]).sum(), 1)

        def distance(vector: Array) -> Array:
            student = predicted(vector)
            if classes:
                each = -(teacher * jnp.log(jnp.maximum(student, 1e-30))).sum(-1)
            else:
                each = 0.5 * jnp.square(student - teacher)
            return (each * batch["mask"]).sum() / count

        return _descend(distance, ensemble.model, steps, learning_rate)

    return change


def fedlaw(steps: int = 20, learning_rate: float = 0.01, *, task: Task) -> Change:
    """Weights of the local models, and their sum, are learnt on the server's examples: a sum below
    1 shrinks the model.

    >>> from fedbrain.algorithms.quadratic import quadratic_batch, quadratic_task
    >>> two = Ensemble(jnp.zeros(1), jnp.array([[1.0], [3.0]]), jnp.ones(2), lambda w: {"w": w})
    >>> change = fedlaw(steps=300, task=quadratic_task())
    >>> change(two, {}, quadratic_batch(2.5)).round(2).tolist()
    [2.5]

    Args:
      steps: of gradient descent on all of the server's examples, in every round; arbitrary.
      learning_rate: of them; .01 as in the authors' program.
      task: of the study; set by the program.
    """
    _require_descent(steps, learning_rate)

    def change(ensemble: Ensemble, state: PyTree, batch: Batch) -> Array:
        present = ensemble.weights > 0

        def model(learnt: tuple[Array, Array]) -> Array:
            logits, log_gamma = learnt
            shares = jax.nn.softmax(jnp.where(present, logits, -jnp.inf))
            return jnp.exp(log_gamma) * shares @ ensemble.local

        def loss(learnt: tuple[Array, Array]) -> Array:
            params = ensemble.params_of(model(learnt))
            return task.loss(params, state, batch, jax.random.key(0))[0]

        start = jnp.log(jnp.where(present, ensemble.weights, 1)), jnp.zeros(())
        return model(_descend(loss, start, steps, learning_rate))

    return change


def _require_descent(steps: int, learning_rate: float) -> None:
    if steps < 1 or not learning_rate > 0:
        raise ValueError(
            f"Expected steps >= 1 and learning_rate > 0, got {(steps, learning_rate)}."
        )


def _descend(loss: Callable[[Any], Array], start: Any, steps: int, learning_rate: float) -> Any:
    optimizer = optax.sgd(learning_rate, momentum=MOMENTUM)

    def one(carry: Any, _: None):
        x, memory = carry
        change, memory = optimizer.update(jax.grad(loss)(x), memory, x)
        return (optax.apply_updates(x, change), memory), None

    (x, _), _ = jax.lax.scan(one, (start, optimizer.init(start)), length=steps)
    return x


def refining(change: Change | None, algorithm: Algorithm, arrive: Arrive) -> Refine | None:
    """What a simulation does after every step of the server.

    Args:
      change: a row of `REFINES`, called.
      algorithm: of the simulation.
      arrive: what the server receives of what clients sent.

    >>> from fedbrain.algorithms.quadratic import quadratic_algorithm
    >>> refining(None, quadratic_algorithm(), lambda before, updates: updates)
    """
    return None if change is None else partial(_refine, change, algorithm, arrive)


def _refine(
    change: Change,
    algorithm: Algorithm,
    arrive: Arrive,
    before: ServerState,
    after: ServerState,
    updates: Update,
    batch: Batch,
) -> ServerState:
    def vector(state: ServerState) -> tuple[Array, Callable]:
        return ravel_pytree(algorithm.shared({"params": state.params})["params"])

    start, unravel = vector(before)
    updates = arrive(before, updates)
    here = (updates.weight > 0) & jnp.isfinite(updates.delta).all(axis=1)
    local = jnp.where(here[:, None], start[None] + updates.delta, 0)
    weights = jnp.where(here, updates.weight, 0)
    ensemble = Ensemble(
        vector(after)[0], local, weights, lambda v: combine(unravel(v), after.params)
    )
    moved = cast(Array, change(ensemble, after.model_state, batch))
    moved = jnp.where(here.any() & jnp.isfinite(moved).all(), moved, ensemble.model)
    return after._replace(params=ensemble.params_of(moved))


REFINES = {"none": none, "feddf": feddf, "fedlaw": fedlaw}
