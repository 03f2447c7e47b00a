"""FedDisco: hospitals whose labels are evenly spread weigh more than their size alone.

    a_i ~ max(0, p_i - a d_i + b)

References:
  Ye et al. (2023), https://arxiv.org/abs/2305.19229 (from memory)
"""

import jax.numpy as jnp
from jaxtyping import Array

from fedbrain.aggregators.cohort import Cohort, linear, normalised
from fedbrain.types import Aggregator


def feddisco(a: float = 0.5, b: float = 0.1) -> Aggregator:
    """The mean by p_i - a d_i + b, where it is above 0; by p_i where it is above 0 for nobody.

    d_i is the distance of a client's labels from evenly spread ones, reported as `discrepancy`
    (`algorithm = "report_discrepancy(bins)"`).

    >>> x = jnp.array([[1.0, 0.0], [0.0, 1.0]])
    >>> reports = {"weights": jnp.ones(2), "metrics": {"discrepancy": jnp.array([0.0, 0.8])}}
    >>> rule = feddisco()
    >>> print(rule.update(x, rule.init(x[0]), **reports)[0].round(2))
    [0.75 0.25]

    Args:
      a: weight of the distance >= 0, .5 as published; 0 and b = 0 are the mean by examples.
      b: .1 as published.
    """
    if not a >= 0 or not -1 <= b <= 1:
        raise ValueError(f"Expected a >= 0 and -1 <= b <= 1, got {(a, b)}.")

    def coefficients(cohort: Cohort) -> Array:
        d = jnp.clip(cohort.metric("discrepancy"), 0, 2**0.5)  # two points of a simplex
        p = cohort.by_examples
        share = jnp.where(cohort.present, jnp.maximum(p - a * d + b, 0), 0)
        return jnp.where(share.sum() > 0, normalised(share), p)

    return linear(coefficients)
