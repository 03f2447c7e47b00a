"""RegSimAgg: hospitals near the plain mean weigh more, layer by layer, beside their size.

    u_i = 1 / (||x_i - mean||_1 + eps),    a_i = (u_i / sum u + p_i) / 2

Distances between models are those between updates. The paper could not be had; its distance is as
others report it. The authors' program compares sums of tensors instead, and from its eleventh round
on divides all weights of a coordinate by one number, which a weighted mean cancels.

References:
  Khan et al. (2023), https://arxiv.org/abs/2301.12617
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from fedbrain.aggregators.cohort import Cohort, normalised, reducing
from fedbrain.aggregators.linear_algebra import combine, over_blocks
from fedbrain.types import Aggregator


def distances(cohort: Cohort) -> Float[Array, " clients"]:
    """||x_i - mean||_1 from the mean with one vote each, in float64; 0 where absent.

    >>> distances(Cohort(jnp.array([[0.0, 1.0], [4.0, 1.0]]), jnp.ones(2))).tolist()
    [2.0, 2.0]
    """

    def apart(x: Array, fresh: Array) -> Array:
        here = cohort.present[:, None] & fresh
        x = jnp.where(here, x, 0).astype(jnp.float64)
        return jnp.where(here, jnp.abs(x - cohort.one_each @ x), 0).sum(1)

    return over_blocks(apart, cohort.updates)


def regsimagg(eps: float = 1e-5) -> Aggregator:
    """sum_i a_i x_i, with shares of each layer by closeness to the mean and by examples.

    >>> x = jnp.array([[0.0], [1.0], [8.0]])  # 3, 2 and 5 from their mean
    >>> rule = regsimagg()
    >>> round(float(rule.update(x, rule.init(x[0]), weights=jnp.ones(3))[0][0]), 3)
    2.516

    Args:
      eps: in units of an update's L1 norm; 1e-5 in the authors' program.
    """
    if not eps > 0:
        raise ValueError(f"Expected eps={eps} > 0.")

    def merge(cohort: Cohort) -> Array:
        closeness = jnp.where(cohort.present, 1 / (distances(cohort) + eps), 0)
        return combine(cohort.updates, (normalised(closeness) + cohort.by_examples) / 2)

    def reduce(cohort: Cohort, state):
        ends = [(layer.start, layer.end) for layer in cohort.layers]
        layers = [cohort._replace(updates=cohort.updates[:, a:b]) for a, b in ends]
        return jnp.concatenate([merge(layer) for layer in layers]), state

    return reducing(reduce)
