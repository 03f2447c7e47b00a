"""Where in an image a prediction comes from: integrated gradients and occlusion, as pure functions
of a task.

Both compare an image with a baseline. The mean image of a site's people is a good one: what is left
is where a person differs from the others. Against an image of zeros, attributions follow the grey
values themselves.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fedbrain.types import Batch, Task, Variables

Image = Float[Array, "1 d h w c"]


def _predict(task: Task, variables: Variables, batch: Batch) -> Callable[[Image], Float[Array, ""]]:
    state = {name: tree for name, tree in variables.items() if name != "params"}
    return lambda image: task.evaluate(variables["params"], state, {**batch, "image": image})[0][0]


def integrated_gradients(
    task: Task, variables: Variables, batch: Batch, baseline: Float[Array, "d h w c"], *, steps: int
) -> tuple[Float[Array, "d h w c"], Float[Array, ""]]:
    """(x - baseline) times the mean gradient along the way from one to the other, by the midpoint
    rule.

    Args:
      task: a network and its loss.
      variables: of the network.
      batch: of one example.
      baseline: where the way begins.
      steps: on the way.

    Returns:
      (attribution of every voxel in target units, what the sum of attributions misses of f(x) -
      f(baseline)).

    References:
      Sundararajan et al. (2017), https://arxiv.org/abs/1703.01365
    """
    predict, image = _predict(task, variables, batch), jnp.asarray(batch["image"])
    start, points = baseline[None], (jnp.arange(steps) + 0.5) / steps
    gradients = jax.lax.map(lambda t: jax.grad(predict)(start + t * (image - start)), points)
    found = (image - start) * gradients.mean(0)
    return found[0], predict(image) - predict(start) - found.sum()


def occlusion(
    task: Task, variables: Variables, batch: Batch, baseline: Float[Array, "d h w c"], *, size: int
) -> Float[Array, "d h w"]:
    """f(x) - f(x with a cube of the baseline), for cubes that tile the image; every voxel of a cube
    has its number.

    Args:
      task: a network and its loss.
      variables: of the network.
      batch: of one example.
      baseline: what is put in.
      size: of the cubes in voxels; at the upper borders they overlap with their neighbours, who
        come later and win.

    References:
      Zeiler and Fergus (2014), https://arxiv.org/abs/1311.2901
    """
    predict, image = _predict(task, variables, batch), jnp.asarray(batch["image"])
    shape = image.shape[1:4]
    edges = [min(size, n) for n in shape]
    starts = [np.minimum(np.arange(math.ceil(n / e)) * e, n - e) for n, e in zip(shape, edges)]
    corners = jnp.asarray(np.stack(np.meshgrid(*starts, indexing="ij"), -1).reshape(-1, 3))
    channels = image.shape[4]

    def without(corner: Array) -> Array:
        cube = jax.lax.dynamic_slice(baseline[None], (0, *corner, 0), (1, *edges, channels))
        return predict(jax.lax.dynamic_update_slice(image, cube, (0, *corner, 0)))

    differences = predict(image) - jax.lax.map(without, corners, batch_size=16)

    def paint(grid: Array, cube: tuple[Array, Array]) -> tuple[Array, None]:
        corner, value = cube
        return jax.lax.dynamic_update_slice(grid, jnp.full(edges, value), tuple(corner)), None

    return jax.lax.scan(paint, jnp.zeros(shape), (corners, differences))[0]
