"""FedMGDA+: a direction in which no hospital gets worse, found near the usual weights.

    min_lambda || sum_i lambda_i x_i / ||x_i|| ||^2   on the simplex, |lambda_i - p_i| <= epsilon

References:
  Hu et al. (2022), https://arxiv.org/abs/2006.11489
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array

from fedbrain.aggregators.cohort import Cohort, linear
from fedbrain.aggregators.fair import project_on_simplex
from fedbrain.aggregators.linear_algebra import gram
from fedbrain.types import Aggregator


def fedmgda_plus(epsilon: float = 0.1, iterations: int = 200) -> Aggregator:
    """FedMGDA+, in units of a normalised update: the server's learning rate sets the step.

    >>> x = jnp.array([[9.0, 0.0], [0.0, 1.0]])
    >>> rule = fedmgda_plus(epsilon=1.0)
    >>> print(rule.update(x, rule.init(x[0]), weights=jnp.array([9.0, 1.0]))[0].round(3))
    [0.5 0.5]

    Args:
      epsilon: how far a weight may leave p_i; 0 is the mean of normalised updates, 1 is MGDA.
      iterations: of projected accelerated gradient on as many numbers as there are clients.
    """
    if not 0 <= epsilon <= 1 or iterations < 1:
        raise ValueError(
            f"Expected 0 <= epsilon <= 1 and iterations >= 1, got {(epsilon, iterations)}."
        )

    def coefficients(cohort: Cohort) -> Array:
        g = gram(cohort.updates, cohort.present)
        scale = 1 / jnp.maximum(jnp.sqrt(jnp.diag(g)), 1e-300)
        scale = jnp.where(cohort.present & (jnp.diag(g) > 0), scale, 0)
        unit = g * scale[:, None] * scale[None]
        p = cohort.by_examples
        lower = jnp.where(cohort.present, jnp.maximum(p - epsilon, 0), 0)
        upper = jnp.where(cohort.present, jnp.minimum(p + epsilon, 1), 0)
        step = 1 / jnp.maximum(jnp.trace(unit), 1)  # the trace bounds the largest eigenvalue

        def descend(k: Array, carry):
            mixture, ahead = carry
            new = project_on_simplex(ahead - step * (unit @ ahead), upper, lower)
            return new, new + k / (k + 3) * (new - mixture)

        mixture = jax.lax.fori_loop(0, iterations, descend, (p, p))[0]
        return mixture * scale

    return linear(coefficients)
