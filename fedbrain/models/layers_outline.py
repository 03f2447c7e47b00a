"""The layers of a network as sizes, in the order of computation: nothing is computed."""

import math
from typing import Any, NamedTuple

import jax
from flax import linen as nn

from fedbrain.models.normalisation import BatchNorm
from fedbrain.types import Batch, Task, Variables


class Layer(NamedTuple):
    """A layer, for a batch in training."""

    name: str  # block1/layer2
    values: int  # in its output
    operations: int  # multiplications and additions of its forward pass; 0 without a kernel
    voxels: int  # of an example, over which batch statistics are taken; 0 where none are
    input: tuple[int, ...] = ()  # its shape
    kernel: tuple[int, ...] = ()  # its shape, where there is one


def layers_of(task: Task, variables: Variables, batch: Batch) -> list[Layer]:
    """Traces the loss of a batch.

    Args:
      task: a network with its loss.
      variables: arrays or outlines.
      batch: any batch of the right shapes.
    """
    layers: list[Layer] = []

    def record(call: Any, args: tuple, keywords: dict, context: Any) -> Any:
        module: nn.Module = context.module
        if context.method_name != "__call__" or not module.path:
            return call(*args, **keywords)
        before = _statistics(module)
        output = call(*args, **keywords)
        kernel = module.get_variable("params", "kernel")
        if kernel is None and not isinstance(module, BatchNorm | nn.GroupNorm):
            return output  # a network of layers, or one without parameters
        taken = _statistics(module) is not before  # frozen ones use what they have
        layers.append(
            Layer(
                "/".join(module.path),
                math.prod(output.shape),
                0 if kernel is None else 2 * math.prod(output.shape[:-1]) * math.prod(kernel.shape),
                math.prod(output.shape[1:-1]) if taken else 0,
                args[0].shape,
                () if kernel is None else kernel.shape,
            )
        )
        return output

    def loss(variables: Variables, batch: Batch, key: jax.Array) -> Any:  # a new one: not cached
        params = variables["params"]
        state = {name: tree for name, tree in variables.items() if name != "params"}
        return task.loss(params, state, batch, key)

    with nn.intercept_methods(record):
        jax.eval_shape(loss, dict(variables), dict(batch), jax.random.key(0))
    return layers


def _statistics(module: nn.Module) -> Any:
    return module.get_variable("batch_stats", "mean") if isinstance(module, BatchNorm) else None


def fewest_voxels(layers: list[Layer]) -> int:
    """The voxels of the smallest feature map over which batch statistics are taken; 0 where none
    are.

    Args:
      layers: of a network.

    >>> fewest_voxels([Layer("norm1", 80, 0, 8), Layer("norm2", 10, 0, 1), Layer("head", 1, 2, 0)])
    1
    """
    return min((layer.voxels for layer in layers if layer.voxels), default=0)
