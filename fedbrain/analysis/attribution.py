"""Attribution of a prediction to voxels: integrated gradients and occlusion.

Both compare an image with a baseline. The mean image of a site's people is a good one: attributions
then show where a person differs from the others. Against an image of zeros, they follow the grey
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
    """The prediction in target units, or the probability of the last class, as a function of the
    image.
    """
    state = {name: tree for name, tree in variables.items() if name != "params"}

    def predict(image: Image) -> Float[Array, ""]:
        prediction, _ = task.evaluate(variables["params"], state, {**batch, "image": image})
        return jnp.ravel(prediction)[-1]

    return predict


def integrated_gradients(
    task: Task, variables: Variables, batch: Batch, baseline: Float[Array, "d h w c"], *, steps: int
) -> tuple[Float[Array, "d h w c"], Float[Array, ""]]:
    """(x - baseline) times the mean gradient on the line between them, by the midpoint rule.

    Args:
      task: a network and its loss.
      variables: of the network.
      batch: of one example x.
      baseline: where the line begins.
      steps: points on the line.

    Returns:
      (attribution of every voxel, f(x) - f(baseline) minus the sum of attributions), both in target
      units. The second is the error of the midpoint rule.

    References:
      Sundararajan et al. (2017), https://arxiv.org/abs/1703.01365
    """
    predict = _predict(task, variables, batch)
    image = jnp.asarray(batch["image"])
    start = baseline[None]
    points = (jnp.arange(steps) + 0.5) / steps
    gradients = jax.lax.map(lambda t: jax.grad(predict)(start + t * (image - start)), points)
    attribution = (image - start) * gradients.mean(0)
    return attribution[0], predict(image) - predict(start) - attribution.sum()


def occlusion(
    task: Task, variables: Variables, batch: Batch, baseline: Float[Array, "d h w c"], *, size: int
) -> Float[Array, "d h w"]:
    """f(x) - f(x with a cube of the baseline), for cubes that tile the image.

    Args:
      task: a network and its loss.
      variables: of the network.
      batch: of one example x.
      baseline: whose voxels replace those of a cube.
      size: edge of the cubes in voxels. At the upper borders cubes overlap, and the last one's
        number stands.

    Returns:
      The number of each voxel's cube, in target units.

    References:
      Zeiler and Fergus (2014), https://arxiv.org/abs/1311.2901
    """
    predict = _predict(task, variables, batch)
    image = jnp.asarray(batch["image"])
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
