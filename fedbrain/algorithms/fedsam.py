"""FedSAM: clients look for flat minima, whose average is nearer to a minimum.

    local   e = rho g_i(y) / ||g_i(y)||,    y <- y - h g_i(y + e)

Both gradients are of one batch. Batch statistics and reports are of the first. The length is over
all that trains, private leaves included. A step costs two.

References:
  Qu et al. (2022), https://arxiv.org/abs/2206.02618
  Caldarola et al. (2022), https://arxiv.org/abs/2203.11834
"""

import jax
import jax.numpy as jnp

from fedbrain.algorithms.variant import Step, Variant


def fedsam(rho: float = 0.05) -> Variant:
    """Local steps follow the gradient at the worst point within rho of the local model.

    Args:
      rho: > 0, in units of the weights; the authors try .01 to 1, .05 is the first of SAM's.

    >>> from fedbrain.algorithms.quadratic import local_rounds
    >>> local_rounds(fedsam(rho=0.5))  # the gradient at 0.5 farther from the optimum
    ([3.375, 3.375], [0.0, 0.0])
    """
    if not rho > 0:
        raise ValueError(f"Expected rho={rho} > 0.")

    def gradient(step: Step):
        grads, aux = step.gradient_at(step.params, step.model_state)
        squares = [jnp.square(g.astype(jnp.float32)).sum() for g in jax.tree.leaves(grads)]
        length = jnp.maximum(jnp.sqrt(sum(squares)), 1e-12)

        def climb(y: jax.Array, g: jax.Array) -> jax.Array:
            return y + (rho / length).astype(y.dtype) * g

        worst = jax.tree.map(climb, step.params, grads)
        return step.gradient_at(worst, step.model_state)[0], aux, step.context

    return Variant(gradient=gradient)
