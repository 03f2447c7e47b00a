"""Attackers who know the server's rule, and search along a line for what moves it most.

    all send  u + gamma v,   gamma = argmax ||R(honest, u + gamma v) - mean of the honest||

R is all that the server does behind the attack: links, the rule and its memory. gamma is searched
as byzfl does: steps that double while the harm grows, then ever smaller ones about the best.

References:
  Allouah et al. (2023), its experiments, https://arxiv.org/abs/2302.01772
  Shejwalkar and Houmansadr (2021), https://doi.org/10.14722/ndss.2021.24498
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from fedbrain.aggregators.attacks.omniscient import byzantine, moments
from fedbrain.aggregators.checks import expect_byzantine
from fedbrain.aggregators.cohort import Cohort, chain, in_float64
from fedbrain.aggregators.matrix import as_matrix, as_vector
from fedbrain.types import Aggregator

# (mean, standard deviation of the honest) -> (u, v)
Line = Callable[[Array, Array], tuple[Array, Array]]
SHRINK = 0.8  # of a step of the search, as in byzfl


class Searching(NamedTuple):
    """An attack that has to know what stands behind it."""

    against: Callable[[Aggregator], Aggregator]  # the links and the rule behind it -> both together


def _searching(num_byzantine: int, evaluations: int, line: Line) -> Searching:
    expect_byzantine(num_byzantine)
    if evaluations < 2:
        raise ValueError(f"Expected evaluations={evaluations} >= 2.")

    @in_float64
    def prepare(x: Array, weights: Array):
        cohort = Cohort(x, weights)
        bad = byzantine(cohort, num_byzantine)
        mean, spread = moments(cohort, cohort.present & ~bad)
        sent = (*line(mean, spread), mean)
        return bad, *(v.astype(x.dtype) for v in sent)

    def against(rule: Aggregator) -> Aggregator:
        def update(updates, state, params=None, **arguments):
            x, back = as_matrix(updates)
            bad, start, along, mean = prepare(x, arguments["weights"])

            def reduced(factor: Array):
                attacked = jnp.where(bad[:, None], (start + factor * along)[None], x)
                return rule.update(back(attacked), state, params, **arguments)

            def harm(factor: Array) -> Array:
                return jnp.linalg.norm(as_vector(reduced(factor)[0]) - mean)

            return reduced(largest(harm, evaluations, mean.dtype))

        return optax.GradientTransformationExtraArgs(rule.init, update)

    return Searching(against)


def facing(links: Sequence[Aggregator | Searching], rule: Aggregator) -> Aggregator:
    """A server's chain, in which an attack that searches knows all that stands behind it.

    >>> from fedbrain.aggregators.mean import uniform_mean
    >>> both = facing([optimised_ipm(num_byzantine=1, evaluations=2)], uniform_mean())
    >>> x = jnp.array([[1.0], [3.0], [2.0]])
    >>> round(float(both.update(x, both.init(x[0]), weights=jnp.ones(3))[0][0]), 3)
    0.667

    Args:
      links: before the rule.
      rule: the last one.
    """
    plain: list[Aggregator] = []
    for k, link in enumerate(links):
        if isinstance(link, Searching):
            return chain(*plain, link.against(facing(links[k + 1 :], rule)))
        plain.append(link)
    return chain(*plain, rule)


def optimised_alie(num_byzantine: int, evaluations: int = 16) -> Searching:
    """ALIE whose factor is searched: honest mean - gamma * honest standard deviation.

    >>> from fedbrain.aggregators.order_statistics import median
    >>> x = jnp.array([[1.0], [2.0], [6.0], [0.0]])
    >>> both = optimised_alie(num_byzantine=1).against(median())
    >>> both.update(x, both.init(x[0]), weights=jnp.ones(4))[0].tolist()  # honest: 2
    [1.5]

    Args:
      num_byzantine: f.
      evaluations: of the rule, in every round; 16 as in byzfl.
    """
    return _searching(num_byzantine, evaluations, lambda mean, spread: (mean, -spread))


def optimised_ipm(num_byzantine: int, evaluations: int = 16) -> Searching:
    """IPM whose factor is searched: -gamma times the honest mean.

    >>> from fedbrain.aggregators.mean import uniform_mean
    >>> x = jnp.array([[1.0], [3.0], [2.0]])
    >>> both = optimised_ipm(num_byzantine=1, evaluations=4).against(uniform_mean())
    >>> both.update(x, both.init(x[0]), weights=jnp.ones(3))[0].tolist()  # gamma = 1 + 2 + 4
    [-3.3333332538604736]

    Args:
      num_byzantine: f.
      evaluations: of the rule, in every round; 16 as in byzfl. A rule without a bound is moved
        farther by each, as far as 2^evaluations.
    """
    return _searching(num_byzantine, evaluations, lambda mean, spread: (0 * mean, -mean))


class Search(NamedTuple):
    """Where the search stands."""

    best: Float[Array, ""]  # gamma
    harm: Float[Array, ""]  # of it
    last: Float[Array, ""]  # gamma that was tried last
    step: Float[Array, ""]
    growing: Any  # bool: no step has failed yet


def largest(
    harm: Callable[[Array], Array], evaluations: int, dtype: Any = jnp.float32
) -> Float[Array, ""]:
    """The gamma >= 0 of the largest harm among those tried, 0 the first; NaN is no harm.

    >>> largest(lambda gamma: -jnp.abs(gamma - 2.5), evaluations=40).round(2).tolist()
    2.5
    """

    def told(factor: Array) -> Array:
        value = harm(factor)
        return jnp.where(jnp.isfinite(value), value, -1).astype(dtype)

    def one(_: Any, at: Search) -> Search:
        below = at.last < at.best
        farther = jnp.where(at.growing, at.best, at.last) + at.step
        halvings = jnp.ceil(jnp.log2(jnp.maximum(at.step / jnp.maximum(at.last, 1e-30), 1)))
        nearer = jnp.maximum(at.last - at.step / 2**halvings, 0)  # not below 0
        tried = jnp.where(at.growing | below, farther, nearer)
        value = told(tried)
        better = value > at.harm
        growing = at.growing & better
        step = at.step * jnp.where(growing, 2, SHRINK)
        best, most = jnp.where(better, tried, at.best), jnp.where(better, value, at.harm)
        return Search(best, most, tried, step.astype(dtype), growing)

    zero = jnp.zeros((), dtype)
    start = Search(zero, told(zero), zero, jnp.ones((), dtype), jnp.asarray(True))
    return jax.lax.fori_loop(0, evaluations - 1, one, start).best
