"""The geometric median, by smoothed Weiszfeld iterations on coefficients: RFA.

With z = sum_j a_j x_j, b_i = 1 / max(||z - x_i||, nu) and a <- b / sum b, every distance comes from
the Gram matrix, so that iterations cost nothing and one pass over the updates is all.

References:
  Pillutla et al. (2022), RFA, https://arxiv.org/abs/1912.13445
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array

from fedbrain.aggregators.cohort import Cohort, linear, normalised
from fedbrain.aggregators.linear_algebra import from_centre, gram
from fedbrain.types import Aggregator


def geometric_median(
    iterations: int = 32, smoothing: float = 1e-6, start: float = 1.0
) -> Aggregator:
    """argmin_z sum_i ||z - x_i||, each client one vote. Tolerates less than half of the clients.

    >>> x = jnp.array([[1.0, 2.0], [1.0, 2.0], [500.0, -500.0]])
    >>> rule = geometric_median()
    >>> print(rule.update(x, rule.init(x[0]), weights=jnp.ones(3))[0].round(3))
    [1. 2.]

    Args:
      iterations: the paper communicates 3 to 4; here they are free, and 32 is arbitrary.
      smoothing: nu, in units of the updates; the paper's 1e-6.
      start: z_0 = start * mean; 0 begins at the origin, as byzfl does.
    """
    if iterations < 1 or not smoothing > 0:
        raise ValueError(
            f"Expected iterations >= 1 and smoothing > 0, got {(iterations, smoothing)}."
        )

    def coefficients(cohort: Cohort) -> Array:
        g = gram(cohort.updates, cohort.present)

        def weiszfeld(_, a: Array) -> Array:
            distance = jnp.sqrt(from_centre(g, a))
            return normalised(jnp.where(cohort.present, 1 / jnp.maximum(distance, smoothing), 0))

        return jax.lax.fori_loop(0, iterations, weiszfeld, start * cohort.one_each)

    return linear(coefficients)
