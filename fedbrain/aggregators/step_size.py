"""Rules that change the length of the mean step.

FedExP extrapolates, FedNova normalises unequal local work.

References:
  Jhunjhunwala et al. (2023), FedExP, https://arxiv.org/abs/2301.09604
  Wang et al. (2020), FedNova, https://arxiv.org/abs/2007.07481
"""

import jax.numpy as jnp
from jaxtyping import Array

from fedbrain.aggregators.cohort import Cohort, linear
from fedbrain.aggregators.linear_algebra import gram
from fedbrain.types import Aggregator


def fedexp(eps: float = 1e-3) -> Aggregator:
    """A longer mean step when clients disagree.

    direction = eta mean with eta = max(1, sum_i p_i ||x_i||^2 / (2 (||mean||^2 + eps))).

    >>> x = jnp.array([[3.0, 1.0], [-3.0, 1.0]])
    >>> rule = fedexp(eps=0.0)  # eta = 5
    >>> rule.update(x, rule.init(x[0]), weights=jnp.ones(2))[0].tolist()
    [0.0, 5.0]

    Args:
      eps: in squared units of the updates; 1e-3 to .1 in the paper.
    """
    if not eps >= 0:
        raise ValueError(f"Expected eps={eps} >= 0.")

    def coefficients(cohort: Cohort) -> Array:
        g, p = gram(cohort.updates, cohort.present), cohort.by_examples
        return p * jnp.maximum(1.0, p @ jnp.diag(g) / jnp.maximum(2 * (p @ g @ p + eps), 1e-300))

    return linear(coefficients)


def fednova(momentum: float = 0.0, proximal: float = 0.0) -> Aggregator:
    """(sum_i p_i a_i) sum_i p_i x_i / a_i, with a_i the effective number of local steps tau_i.

    >>> x = jnp.array([[1.0, 0.0], [0.0, 9.0]])  # the second client took nine times the steps
    >>> reports = {"weights": jnp.ones(2), "metrics": {"steps": jnp.array([1.0, 9.0])}}
    >>> rule = fednova()
    >>> rule.update(x, rule.init(x[0]), **reports)[0].tolist()
    [2.5, 2.5]

    Args:
      momentum: rho of the clients' SGD: a_i = (tau - rho (1 - rho^tau) / (1 - rho)) / (1 - rho).
      proximal: learning rate times mu of a proximal term: a_i = (1 - (1 - proximal)^tau) /
        proximal.
    """
    if not 0 <= momentum < 1 or not 0 <= proximal < 1 or (momentum and proximal):
        raise ValueError(
            f"Expected one of momentum and proximal in [0, 1), got {(momentum, proximal)}."
        )

    def coefficients(cohort: Cohort) -> Array:
        steps = jnp.maximum(cohort.metric("steps"), 1)
        if momentum:
            steps = (steps - momentum * (1 - momentum**steps) / (1 - momentum)) / (1 - momentum)
        if proximal:
            steps = (1 - (1 - proximal) ** steps) / proximal
        p = cohort.by_examples
        return (p @ steps) * p / steps

    return linear(coefficients)
