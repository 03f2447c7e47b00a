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

from fedbrain.aggregators.checks import expect_byzantine
from fedbrain.aggregators.cohort import Cohort, keeping, normalised
from fedbrain.aggregators.linear_algebra import blockwise, combine
from fedbrain.types import Aggregator

# (cohort, which clients are honest) -> the vector that all attackers send
Attack = Callable[[Cohort, Bool[Array, " clients"]], Float[Array, " p"]]


def byzantine(cohort: Cohort, num_byzantine: int) -> Bool[Array, " clients"]:
    """The last `num_byzantine` of those present.

    >>> byzantine(Cohort(jnp.zeros((3, 1)), jnp.array([1.0, 1.0, 0.0])), 1).tolist()
    [False, True, False]
    """
    from_the_end = jnp.cumsum(cohort.present[::-1])[::-1]
    return cohort.present & (from_the_end <= num_byzantine)


def replaced(num_byzantine: int, attack: Attack) -> Aggregator:
    """All Byzantine clients send attack(cohort, honest).

    >>> link = replaced(1, lambda cohort, honest: jnp.full(2, 7.0))
    >>> x = jnp.array([[1.0, 2.0], [3.0, 4.0]])
    >>> link.update(x, link.init(x[0]), weights=jnp.ones(2))[0].updates.tolist()
    [[1.0, 2.0], [7.0, 7.0]]
    """
    expect_byzantine(num_byzantine)

    def link(cohort: Cohort, state):
        bad = byzantine(cohort, num_byzantine)
        vector = attack(cohort, cohort.present & ~bad).astype(cohort.updates.dtype)
        updates = jnp.where(bad[:, None], vector[None], cohort.updates)
        return cohort._replace(updates=updates), state

    return keeping(link)


def mean_of(cohort: Cohort, chosen: Bool[Array, " clients"]) -> Float[Array, " p"]:
    """The mean of the chosen updates.

    >>> cohort = Cohort(jnp.array([[1.0], [3.0], [9.0]]), jnp.ones(3))
    >>> mean_of(cohort, jnp.array([True, True, False])).tolist()
    [2.0]
    """
    return combine(cohort.updates, normalised(chosen.astype(jnp.result_type(float))))


def moments(
    cohort: Cohort, chosen: Bool[Array, " clients"]
) -> tuple[Float[Array, " p"], Float[Array, " p"]]:
    """The mean and the standard deviation (n - 1) of the chosen updates, coordinate by coordinate.

    >>> cohort = Cohort(jnp.array([[1.0], [3.0], [9.0]]), jnp.ones(3))
    >>> with jax.enable_x64(True):
    ...     print(*(x.round(3) for x in moments(cohort, jnp.array([True, True, False]))))
    [2.] [1.414]
    """
    n = jnp.maximum(chosen.sum(), 2)

    def block(x: Array) -> Array:
        x = jnp.where(chosen[:, None], x, 0).astype(jnp.float64)
        mean = x.sum(0) / n
        spread = jnp.where(chosen[:, None], x - mean, 0)
        return jnp.stack([mean, jnp.sqrt((spread**2).sum(0) / (n - 1))])

    mean, deviation = blockwise(block, cohort.updates)
    return mean, deviation


def inner_product_manipulation(num_byzantine: int, epsilon: float = 0.1) -> Aggregator:
    """IPM: -epsilon times the honest mean; .1 keeps the aggregate's norm and turns its sign.

    >>> x = jnp.array([[1.0], [3.0], [2.0]])
    >>> link = inner_product_manipulation(num_byzantine=1, epsilon=0.5)
    >>> link.update(x, link.init(x[0]), weights=jnp.ones(3))[0].updates.tolist()
    [[1.0], [3.0], [-1.0]]
    """
    return replaced(num_byzantine, lambda cohort, honest: -epsilon * mean_of(cohort, honest))


def a_little_is_enough(num_byzantine: int, clients: int) -> Aggregator:
    """ALIE: honest mean - z * honest standard deviation, hidden in the spread of the honest.

    >>> x = jnp.array([[1.0], [2.0], [3.0], [4.0], [0.0]])
    >>> link = a_little_is_enough(num_byzantine=1, clients=5)
    >>> print(link.update(x, link.init(x[0]), weights=jnp.ones(5))[0].updates[-1].round(3))
    [2.5]

    Args:
      num_byzantine: f.
      clients: n of the federation, which sets z = Phi^-1((n - f - s) / (n - f)) with
        s = floor(n / 2 + 1) - f.
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
        mean, deviation = moments(cohort, honest)
        return mean - z * deviation

    return replaced(num_byzantine, attack)


def mimic(num_byzantine: int, victim: int = 0) -> Aggregator:
    """Everybody copies one honest client: no outlier, yet its data weigh far too much.

    >>> x = jnp.array([[1.0], [3.0], [2.0]])
    >>> link = mimic(num_byzantine=1)
    >>> link.update(x, link.init(x[0]), weights=jnp.ones(3))[0].updates.tolist()
    [[1.0], [3.0], [1.0]]

    Args:
      num_byzantine: f.
      victim: position in the order of names of the copied client.
    """

    def attack(cohort: Cohort, honest: Array) -> Array:
        first = jnp.argsort(~honest)[0]  # another one when the victim is away
        index = jnp.where(honest[victim], victim, first)
        return jax.lax.dynamic_index_in_dim(cohort.updates, index, 0, keepdims=False)

    return replaced(num_byzantine, attack)
