"""What enters the last layer of a network, in place of its prediction."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array

from fedbrain.types import Batch, ModelState, Params, Task

HEAD = "head"  # the last layer of every network


def entering_head(run: Callable[[], Any]) -> tuple[Array, Any]:
    """(what enters the last layer [b f] float32, what the function returns).

    Args:
      run: applies a network once, whose last layer is called `head`.
    """
    seen: list[Array] = []

    def keep(call: Any, args: tuple, keywords: dict, context: Any) -> Any:
        if context.module.name == HEAD and context.method_name == "__call__":
            seen.append(args[0])
        return call(*args, **keywords)

    with nn.intercept_methods(keep):
        returned = run()
    return jnp.asarray(seen[0], jnp.float32), returned


def penultimate(task: Task) -> Task:
    """The task, but `evaluate` returns (features [b f] float32, losses [b]).

    Args:
      task: of a network whose last layer is called `head`.
    """

    def evaluate(params: Params, model_state: ModelState, batch: Batch) -> tuple[Array, Array]:
        features, (_, losses) = entering_head(lambda: task.evaluate(params, model_state, batch))
        return features, losses

    return task._replace(evaluate=evaluate)
