"""Evaluation without side effects, the same at client and server."""

from collections.abc import Iterable
from typing import Protocol, runtime_checkable

import jax
import numpy as np

from fedbrain.types import Batch, Task, Variables


@runtime_checkable
class Evaluate(Protocol):
    """A model on batches, compiled."""

    def __call__(
        self, variables: Variables, batches: Iterable[Batch], /
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns (predictions [n] in target units or probabilities [n k], losses [n]) of the real
        examples, in their order.
        """
        ...


def make_evaluate(task: Task) -> Evaluate:
    """Compiles the evaluation of a task.

    Returns:
      `evaluate(variables, batches)` -> (prediction [n] in target units or probabilities [n k],
      loss [n]) of the real examples, in their order.

    >>> from fedbrain.algorithms.quadratic import quadratic_batch, quadratic_task
    >>> evaluate = make_evaluate(quadratic_task())
    >>> evaluate({"params": {"w": np.ones(1)}}, [quadratic_batch(4.0), quadratic_batch(real=False)])
    (array([1.], dtype=float32), array([4.5], dtype=float32))
    """
    forward = jax.jit(task.evaluate)

    def evaluate(variables: Variables, batches: Iterable[Batch]) -> tuple[np.ndarray, np.ndarray]:
        model_state = {name: tree for name, tree in variables.items() if name != "params"}
        predictions, losses = [], [np.zeros(0, np.float32)]
        for batch in batches:
            real = np.asarray(batch["mask"]) > 0
            prediction, loss = forward(variables["params"], model_state, batch)
            predictions.append(np.asarray(prediction)[real])
            losses.append(np.asarray(loss)[real])
        return np.concatenate(predictions or losses), np.concatenate(losses)

    return evaluate
