"""Attackers who know the honest updates.

References:
  Xie et al. (2020), inner-product manipulation, https://arxiv.org/abs/1903.03936
  Baruch et al. (2019), a little is enough, https://arxiv.org/abs/1902.06156
  Karimireddy et al. (2022), mimic, https://arxiv.org/abs/2006.09365
"""

from collections.abc import Callable
from statistics import NormalDist

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from fedbrain.aggregators.cohort import Cohort, keeping, normalised
from fedbrain.aggregators.linear_algebra import blockwise, combine
from fedbrain.types import Aggregator


def byzantine(cohort: Cohort, num_byzantine: int) -> Bool[Array, " clients"]:
    """The last `num_byzantine` of those present."""
    from_the_end = jnp.cumsum(cohort.present[::-1])[::-1]
    return cohort.present & (from_the_end <= num_byzantine)


def replaced(
    num_byzantine: int, attack: Callable[[Cohort, Bool[Array, " clients"]], Float[Array, " p"]]
) -> Aggregator:
    """All Byzantine clients send attack(cohort, honest)."""
    if num_byzantine < 0:
        raise ValueError(f"Expected num_byzantine={num_byzantine} >= 0.")

    def link(cohort: Cohort, state):
        bad = byzantine(cohort, num_byzantine)
        vector = attack(cohort, cohort.present & ~bad).astype(cohort.updates.dtype)
        return cohort._replace(updates=jnp.where(bad[:, None], vector[None], cohort.updates)), state

    return keeping(link)


def mean_of(cohort: Cohort, chosen: Bool[Array, " clients"]) -> Float[Array, " p"]:
    """The mean of the chosen updates."""
    return combine(cohort.updates, normalised(chosen.astype(jnp.float64)))


def inner_product_manipulation(num_byzantine: int, epsilon: float = 0.1) -> Aggregator:
    """IPM: -epsilon times the honest mean; .1 keeps the aggregate's norm and turns its sign."""
    return replaced(num_byzantine, lambda cohort, honest: -epsilon * mean_of(cohort, honest))


def a_little_is_enough(num_byzantine: int, clients: int) -> Aggregator:
    """ALIE: honest mean - z * honest standard deviation, hidden in the spread of the honest.

    Args:
      num_byzantine: f.
      clients: n of the federation, which sets z = Phi^-1((n - f - s) / (n - f)), s = floor(n / 2 +
        1) - f.
    """
    supporters = clients // 2 + 1 - num_byzantine
    share = (clients - num_byzantine - supporters) / max(clients - num_byzantine, 1)
    if not 0 < share < 1:
        raise ValueError(
            f"Expected fewer attackers than half, got num_byzantine={num_byzantine} of"
            f" clients={clients}."
        )
    z = NormalDist().inv_cdf(share)

    def attack(cohort: Cohort, honest: Array) -> Array:
        n = jnp.maximum(honest.sum(), 2)

        def block(x: Array) -> Array:
            x = jnp.where(honest[:, None], x, 0).astype(jnp.float64)
            mean = x.sum(0) / n
            spread = jnp.where(honest[:, None], x - mean, 0)
            return mean - z * jnp.sqrt((spread**2).sum(0) / (n - 1))

        return blockwise(block, cohort.updates)

    return replaced(num_byzantine, attack)


def mimic(num_byzantine: int, victim: int = 0) -> Aggregator:
    """Everybody copies one honest client: no outlier, yet its data weigh far too much.

    Args:
      num_byzantine: f.
      victim: position in the order of names of the copied client.
    """
    return replaced(num_byzantine, lambda cohort, honest: _row(cohort, honest, victim))


def _row(cohort: Cohort, honest: Array, victim: int) -> Array:
    first = jnp.argsort(~honest)[0]  # another one when the victim is away
    index = jnp.where(honest[victim], victim, first)
    return jax.lax.dynamic_index_in_dim(cohort.updates, index, 0, keepdims=False)
