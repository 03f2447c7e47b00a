"""Evaluation without side effects, the same at client and server."""

from collections.abc import Callable, Iterable

import jax
import numpy as np

from fedbrain.types import Batch, Task, Variables

Evaluate = Callable[[Variables, Iterable[Batch]], tuple[np.ndarray, np.ndarray]]


def make_evaluate(task: Task) -> Evaluate:
    """Compiles the evaluation of a task.

    Returns:
      `evaluate(variables, batches)` -> (prediction [n] in target units, loss [n]) of the real
      examples, in their order.
    """
    forward = jax.jit(task.evaluate)

    def evaluate(variables: Variables, batches: Iterable[Batch]) -> tuple[np.ndarray, np.ndarray]:
        model_state = {name: tree for name, tree in variables.items() if name != "params"}
        predictions, losses = [np.zeros(0, np.float32)], [np.zeros(0, np.float32)]
        for batch in batches:
            real = np.asarray(batch["mask"]) > 0
            prediction, loss = forward(variables["params"], model_state, batch)
            predictions.append(np.asarray(prediction)[real])
            losses.append(np.asarray(loss)[real])
        return np.concatenate(predictions), np.concatenate(losses)

    return evaluate
