"""FedSAM: clients look for flat minima, whose average is nearer to a minimum.

    local   e = rho g_i(y) / ||g_i(y)||,    y <- y - h g_i(y + e)

Both gradients are of one batch. Batch statistics and reports are of the first. The length is over
all that trains, private leaves included. A step costs two. `fedlesam.py` climbs elsewhere, at the
cost of one.

References:
  Qu et al. (2022), https://arxiv.org/abs/2206.02618
  Caldarola et al. (2022), https://arxiv.org/abs/2203.11834
"""

import jax
import jax.numpy as jnp

from fedbrain.algorithms.variant import Step, Variant
from fedbrain.types import Params


def uphill(params: Params, direction: Params, rho: float) -> Params:
    """y + rho d / ||d||, the length over all leaves; y where d is 0.

    >>> uphill({"w": jnp.zeros(2)}, {"w": jnp.array([3.0, 4.0])}, 0.5)["w"].round(3).tolist()
    [0.30000001192092896, 0.4000000059604645]
    """
    squares = [jnp.square(d.astype(jnp.float32)).sum() for d in jax.tree.leaves(direction)]
    length = jnp.maximum(jnp.sqrt(sum(squares)), 1e-12)

    def climb(y: jax.Array, d: jax.Array) -> jax.Array:
        return y + (rho / length).astype(y.dtype) * d

    return jax.tree.map(climb, params, direction)


def require_radius(rho: float) -> None:
    """Raises a ValueError for a radius that is none.

    >>> require_radius(-1.0)
    Traceback (most recent call last):
    ValueError: Expected rho=-1.0 > 0.
    """
    if not rho > 0:
        raise ValueError(f"Expected rho={rho} > 0.")


def fedsam(rho: float = 0.05) -> Variant:
    """Local steps follow the gradient at the worst point within rho of the local model.

    Args:
      rho: > 0, in units of the weights; the authors try .01 to 1, .05 is the first of SAM's.

    >>> from fedbrain.algorithms.quadratic import local_rounds
    >>> local_rounds(fedsam(rho=0.5))  # the gradient at 0.5 farther from the optimum
    ([3.375, 3.375], [0.0, 0.0])
    """
    require_radius(rho)

    def gradient(step: Step):
        grads, aux = step.gradient_at(step.params, step.model_state)
        worst = uphill(step.params, grads, rho)
        return step.gradient_at(worst, step.model_state)[0], aux, step.context

    return Variant(gradient=gradient)
