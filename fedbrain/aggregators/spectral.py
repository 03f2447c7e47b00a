"""Rules that look for the direction in which the clients spread most.

Attackers who push together lie along it.

References:
  Allouah et al. (2025), covariance-bound agnostic filter (CAF), https://arxiv.org/abs/2505.01874
  Shejwalkar and Houmansadr (2021), divide-and-conquer (DnC),
  https://doi.org/10.14722/ndss.2021.24498
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from fedbrain.aggregators.checks import expect_byzantine
from fedbrain.aggregators.cohort import Cohort, linear, normalised, reducing, round_key
from fedbrain.aggregators.krum import ranks
from fedbrain.aggregators.linear_algebra import centred, combine, gram
from fedbrain.types import Aggregator


def principal(
    g: Float[Array, "clients clients"], p: Float[Array, " clients"]
) -> tuple[Float[Array, ""], Float[Array, " clients"]]:
    """How far the clients spread along the direction in which they spread most.

    >>> x = jnp.array([[1.0, 0.0], [-1.0, 0.0]])
    >>> with jax.enable_x64(True):
    ...     largest, along = principal(gram(x, jnp.ones(2, bool)), jnp.array([0.5, 0.5]))
    >>> print(largest.round(3), along.round(3))
    1.0 [1. 1.]

    Args:
      g: the Gram matrix.
      p: weights, summing to 1.

    Returns:
      The largest eigenvalue of sum_i p_i d_i d_i^T, d_i = x_i - sum p x, and <d_i, v>^2 along its
      eigenvector v.
    """
    around = centred(g, p)
    root = jnp.sqrt(p)
    values, vectors = jnp.linalg.eigh(root[:, None] * around * root[None])
    along = around @ (root * vectors[:, -1])
    return values[-1], along**2 / jnp.maximum(values[-1], 1e-300)


def spectral_filter(num_byzantine: int) -> Aggregator:
    """CAF: clients weigh less the farther they lie along the direction of largest spread.

    Their weights shrink until 2f of n are gone; of the means on the way the one with the smallest
    largest eigenvalue. Eigenvectors are exact, from the Gram matrix. Needs n > 2f.

    >>> x = jnp.array([[1.0, 1.0], [1.0, 1.0], [1.0, 1.0], [900.0, -900.0]])
    >>> rule = spectral_filter(num_byzantine=1)
    >>> print(rule.update(x, rule.init(x[0]), weights=jnp.ones(4))[0].round(3))
    [1. 1.]

    Args:
      num_byzantine: f.
    """
    f = num_byzantine
    expect_byzantine(f)

    def coefficients(cohort: Cohort) -> Array:
        g = gram(cohort.updates, cohort.present)
        n = cohort.present.sum()

        def shrink(_, carry):
            c, smallest, best = carry
            going = c.sum() > n - 2 * f
            p = normalised(c)
            value, spread = principal(g, p)
            better = going & (value < smallest)
            farthest = jnp.max(jnp.where(c > 0, spread, 0))
            factor = 1 - spread / jnp.maximum(farthest, 1e-300)
            shrunk = jnp.where(factor > 1e-12, c * factor, 0)  # 0 for the farthest, rounding or not
            c = jnp.where(going, shrunk, c)
            return c, jnp.where(better, value, smallest), jnp.where(better, p, best)

        start = (cohort.present.astype(g.dtype), jnp.asarray(jnp.inf, g.dtype), cohort.one_each)
        # a step removes at least one client
        _, _, best = jax.lax.fori_loop(0, g.shape[0], shrink, start)
        return jnp.where(n > 2 * f, best, jnp.nan)

    return linear(coefficients)


class DivideState(NamedTuple):
    """Memory of `divide_and_conquer`."""

    round: Int[Array, ""]  # with the seed: which coordinates are looked at


def divide_and_conquer(
    num_byzantine: int,
    coordinates: int = 10_000,
    iterations: int = 5,
    removed: float = 1.0,
    seed: int = 0,
) -> Aggregator:
    """DnC: the mean of the clients that are never farthest along the direction of largest spread.

    On random coordinates, `removed` * f clients are left out, several times anew. Needs n > 2f and
    somebody left.

    >>> x = jnp.array([[1.0, 1.0], [1.0, 2.0], [1.0, 3.0], [900.0, -900.0]])
    >>> rule = divide_and_conquer(num_byzantine=1, coordinates=8, iterations=1)
    >>> print(rule.update(x, rule.init(x[0]), weights=jnp.ones(4))[0].round(3))
    [1. 2.]

    Args:
      num_byzantine: f.
      coordinates: looked at in each iteration: one at random from each of so many stretches of
        equal length, so that none is drawn twice.
      iterations: with other coordinates each.
      removed: the paper's c, clients left out per Byzantine one.
      seed: of the coordinates.
    """
    f = num_byzantine
    expect_byzantine(f)
    if coordinates < 1 or iterations < 1 or not removed >= 0:
        raise ValueError(
            "Expected coordinates and iterations >= 1 and removed >= 0, got"
            f" {(coordinates, iterations, removed)}."
        )
    out = round(removed * f)

    def init(params) -> DivideState:
        del params  # a counter, whatever the model
        return DivideState(jnp.zeros((), jnp.int32))

    def reduce(cohort: Cohort, state: DivideState):
        n, p = cohort.present.sum(), cohort.updates.shape[1]
        stretches = min(coordinates, p)
        bounds = np.arange(stretches + 1) * p // stretches
        good = cohort.present
        for k in range(iterations):
            key = jax.random.fold_in(round_key(seed, state.round), k)
            some = jax.random.randint(key, bounds[1:].shape, bounds[:-1], bounds[1:], jnp.int32)
            g = gram(cohort.updates[:, some], cohort.present)
            _, spread = principal(g, cohort.one_each)
            good = good & (ranks(jnp.where(cohort.present, spread, jnp.inf)) < n - out)
        direction = combine(cohort.updates, normalised(good.astype(jnp.float64)))
        defined = (n > 2 * f) & good.any()
        return jnp.where(defined, direction, jnp.nan), state._replace(round=state.round + 1)

    return reducing(reduce, init)
