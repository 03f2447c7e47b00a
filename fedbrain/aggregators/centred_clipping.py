"""Centred clipping: the last aggregate is the centre, and nobody moves it by more than a radius.

    v <- v + mean_i (x_i - v) min(1, tau / ||x_i - v||)

References:
  Karimireddy et al. (2021), https://arxiv.org/abs/2012.10333
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from fedbrain.aggregators.cohort import Cohort, reducing
from fedbrain.aggregators.linear_algebra import combine, gram
from fedbrain.aggregators.matrix import as_vector
from fedbrain.types import Aggregator


class CentredClippingState(NamedTuple):
    """Memory of `centred_clipping`."""

    centre: Float[Array, " p"]  # v, the aggregate of the last round


def centred_clipping(radius: float, iterations: int = 1) -> Aggregator:
    """Clips every client's distance to the previous aggregate.

    >>> x = jnp.array([[0.3, 0.0], [0.3, 0.0], [0.0, 1000.0]])
    >>> rule = centred_clipping(radius=0.3)
    >>> direction, state = rule.update(x, rule.init(x[0]), weights=jnp.ones(3))
    >>> print(direction.round(3))
    [0.2 0.1]

    Args:
      radius: tau, in units of the updates; the authors scale it as 10 / (1 - momentum) on MNIST.
      iterations: 1 to 3 in the paper.
    """
    if not radius > 0 or iterations < 1:
        raise ValueError(f"Expected radius > 0 and iterations >= 1, got {(radius, iterations)}.")

    def init(params) -> CentredClippingState:
        return CentredClippingState(jnp.zeros_like(as_vector(params)))

    def reduce(cohort: Cohort, state: CentredClippingState):
        c = cohort.updates.shape[0]
        n = jnp.maximum(cohort.present.sum(), 1)
        g = gram(cohort.updates, cohort.present, state.centre)
        a = jnp.zeros(c + 1).at[c].set(1.0)  # v as a combination of the updates and the last centre
        for _ in range(iterations):
            along = g @ a
            distance = jnp.sqrt(jnp.maximum(jnp.diag(g) - 2 * along + a @ along, 0.0))[:c]
            factor = jnp.minimum(1.0, radius / jnp.maximum(distance, 1e-300))
            pull = jnp.where(cohort.present, factor, 0) / n
            a = a * (1 - pull.sum()) + jnp.append(pull, 0.0)
        own = (a[c] * state.centre).astype(cohort.updates.dtype)
        direction = combine(cohort.updates, a[:c]) + own
        return direction, CentredClippingState(direction.astype(state.centre.dtype))

    return reducing(reduce, init)
