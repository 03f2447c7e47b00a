"""Random-effects meta-analysis of hospitals: small ones are noisy, and hospitals differ.

    a_i ~ 1 / (s_i^2 + T^2)
    T^2 = max(0, (Q - (n - 1)) / (sum v - sum v^2 / sum v))
    s_i^2 = variance / n_i,   v_i = 1 / s_i^2,   Q = sum_i v_i ||x_i - mean_v||^2 / p

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
    """DerSimonian-Laird moment estimate of T^2 from Cochran's Q and precisions v (0 = absent).

    >>> v = jnp.array([1.0, 1.0, 0.0])
    >>> float(between_variance(jnp.asarray(3.0), v, jnp.asarray(2.0)))
    2.0
    """
    total = jnp.maximum(v.sum(), 1e-300)
    return jnp.maximum(0.0, (q - (n - 1)) / jnp.maximum(total - (v**2).sum() / total, 1e-300))


def inverse_variance(variance: float) -> Aggregator:
    """Precision-weighted mean with one T^2 for all coordinates.

    >>> x = jnp.array([[0.0, 1.0], [1.0, 0.0]])
    >>> n = jnp.array([3.0, 1.0])
    >>> for variance in (100.0, 1e-3):  # noisy clients: by examples; clients that differ: uniform
    ...     rule = inverse_variance(variance)
    ...     print(rule.update(x, rule.init(x[0]), weights=n)[0].round(2))
    [0.25 0.75]
    [0.5 0.5]

    Args:
      variance: of what one example contributes to one coordinate of an update, in squared units of
        the update.
    """
    if not variance > 0:
        raise ValueError(f"Expected variance={variance} > 0.")

    def coefficients(cohort: Cohort) -> Array:
        v = cohort.weights.astype(jnp.float64) / variance
        squares = from_centre(gram(cohort.updates, cohort.present), normalised(v))
        q = (v * (squares / cohort.updates.shape[1])).sum()
        n = cohort.present.sum().astype(jnp.float64)
        total = 1 / jnp.maximum(v, 1e-300) + between_variance(q, v, n)
        return normalised(jnp.where(cohort.present, 1 / total, 0))

    return linear(coefficients)
