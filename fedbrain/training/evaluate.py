"""Evaluation without side effects, the same at client and server."""

from collections.abc import Iterable
from typing import Protocol, runtime_checkable

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

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


def make_evaluate(task: Task, mesh: Mesh | None = None) -> Evaluate:
    """Compiles the evaluation of a task.

    Args:
      task: a network and its loss.
      mesh: of devices that share a batch, along its axis `batch`; None: the default device.

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
        if mesh:
            variables = jax.device_put(variables, NamedSharding(mesh, PartitionSpec()))
        model_state = {name: tree for name, tree in variables.items() if name != "params"}
        predictions, losses = [], [np.zeros(0, np.float32)]
        for batch in batches:
            real = np.asarray(batch["mask"]) > 0
            if mesh:
                batch = jax.device_put(batch, NamedSharding(mesh, PartitionSpec("batch")))
            prediction, loss = forward(variables["params"], model_state, batch)
            predictions.append(np.asarray(prediction)[real])
            losses.append(np.asarray(loss)[real])
        return np.concatenate(predictions or losses), np.concatenate(losses)

    return evaluate
