"""The weighted mean as a sum of whole numbers: what secure aggregation can add up under masks.

    x = 2^-28 sum_i round(2^28 n_i x_i) / sum_i n_i

Whole numbers below 2^52 add up exactly in float64, in any order, so that a simulation has the bits
of a sum of masked numbers between hospitals.
"""

import jax.numpy as jnp
from jaxtyping import Array

from fedbrain.aggregators.cohort import Cohort, reducing
from fedbrain.types import Aggregator, PyTree

SCALE = 2.0**28  # of n x: 3.7e-9
LARGEST = 2.0**52  # of all sums


def masked_mean() -> Aggregator:
    """`weighted_mean` in fixed point: between hospitals the server sees the sum alone.

    The mean of a single client is its update as it is.

    >>> x = jnp.array([[1.0, 2.0], [4.0, 8.0], [jnp.nan, jnp.nan]])  # the third one is absent
    >>> rule = masked_mean()
    >>> rule.update(x, rule.init(x[0]), weights=jnp.array([2.0, 1.0, 0.0]))[0].tolist()
    [2.0, 4.0]

    References:
      Bonawitz et al. (2017), https://doi.org/10.1145/3133956.3133982
    """

    def mean(cohort: Cohort, state: PyTree) -> tuple[Array, PyTree]:
        present = cohort.present
        n = jnp.where(present, cohort.weights.astype(jnp.float64), 0)
        x = jnp.where(present[:, None], cohort.updates.astype(jnp.float64), 0)
        terms = jnp.rint(n[:, None] * x * SCALE)
        in_range = jnp.abs(terms).max(initial=0) * len(n) < LARGEST
        several = terms.sum(0) / (SCALE * jnp.maximum(n.sum(), 1))
        alone = jnp.where(present.sum() == 1, x.sum(0), several)
        return jnp.where(in_range, alone, jnp.nan), state

    return reducing(mean)
