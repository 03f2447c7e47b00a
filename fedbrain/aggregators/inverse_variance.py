"""Random-effects meta-analysis of hospitals: small ones are noisy, and hospitals differ.

    a_i ~ 1 / (s_i^2 + T^2),   s_i^2 = variance / n_i
    T^2 = max(0, (Q - (n - 1)) / (sum v - sum v^2 / sum v)),   v_i = 1 / s_i^2,   Q = sum_i v_i
    ||x_i - mean_v||^2 / p

T^2 = 0 is the mean by examples, a large T^2 the uniform mean: the data choose between the two.

References:
  DerSimonian and Laird (1986), https://doi.org/10.1016/0197-2456(86)90046-2
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from fedbrain.aggregators.cohort import Cohort, linear, normalised
from fedbrain.aggregators.linear_algebra import from_centre, gram
from fedbrain.types import Aggregator


def between_variance(
    q: Float[Array, ""], v: Float[Array, " clients"], n: Float[Array, ""]
) -> Float[Array, ""]:
    """DerSimonian-Laird moment estimate of T^2 from Cochran's Q and precisions v (0 = absent)."""
    total = jnp.maximum(v.sum(), 1e-300)
    return jnp.maximum(0.0, (q - (n - 1)) / jnp.maximum(total - (v**2).sum() / total, 1e-300))


def inverse_variance(variance: float) -> Aggregator:
    """Precision-weighted mean with one T^2 for all coordinates.

    Args:
      variance: of what one example contributes to one coordinate of an update, in squared units of
        the update.
    """
    if not variance > 0:
        raise ValueError(f"Expected variance={variance} > 0.")

    def coefficients(cohort: Cohort) -> Array:
        v = cohort.weights.astype(jnp.float64) / variance
        deviation = (
            from_centre(gram(cohort.updates, cohort.present), normalised(v))
            / cohort.updates.shape[1]
        )
        n = cohort.present.sum().astype(jnp.float64)
        between = between_variance((v * deviation).sum(), v, n)
        return normalised(jnp.where(cohort.present, 1 / (1 / jnp.maximum(v, 1e-300) + between), 0))

    return linear(coefficients)
