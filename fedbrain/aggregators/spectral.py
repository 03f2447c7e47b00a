"""Rules that look for the direction in which the clients spread most: attackers who push together
lie along it.

References:
  Allouah et al. (2025), covariance-bound agnostic filter (CAF), https://arxiv.org/abs/2505.01874
  Shejwalkar and Houmansadr (2021), divide-and-conquer (DnC),
  https://doi.org/10.14722/ndss.2021.24498
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from fedbrain.aggregators.cohort import Cohort, linear, normalised, reducing, round_key
from fedbrain.aggregators.krum import check, ranks
from fedbrain.aggregators.linear_algebra import centred, combine, gram
from fedbrain.types import Aggregator


def principal(
    g: Float[Array, "clients clients"], p: Float[Array, " clients"]
) -> tuple[Float[Array, ""], Float[Array, " clients"]]:
    """The largest eigenvalue of sum_i p_i d_i d_i^T, d_i = x_i - sum p x, and <d_i, v>^2 along its
    eigenvector v.
    """
    around = centred(g, p)
    root = jnp.sqrt(p)
    values, vectors = jnp.linalg.eigh(root[:, None] * around * root[None])
    along = around @ (root * vectors[:, -1])
    return values[-1], along**2 / jnp.maximum(values[-1], 1e-300)


def spectral_filter(num_byzantine: int) -> Aggregator:
    """CAF: weights of clients shrink by how far they lie along the direction of largest spread,
    until 2f are gone; the mean with the smallest largest eigenvalue on the way. Exact eigenvectors
    from the Gram matrix: deterministic. Needs n > 2f.
    """
    f = num_byzantine
    check(f)

    def coefficients(cohort: Cohort) -> Array:
        g = gram(cohort.updates, cohort.present)
        n = cohort.present.sum()

        def shrink(_, carry):
            c, smallest, best = carry
            going = c.sum() > n - 2 * f
            p = normalised(c)
            value, spread = principal(g, p)
            better = going & (value < smallest)
            factor = 1 - spread / jnp.maximum(jnp.max(jnp.where(c > 0, spread, 0)), 1e-300)
            shrunk = jnp.where(
                factor > 1e-12, c * factor, 0
            )  # rounding must not keep the farthest client alive
            c = jnp.where(going, shrunk, c)
            return c, jnp.where(better, value, smallest), jnp.where(better, p, best)

        start = (cohort.present.astype(g.dtype), jnp.asarray(jnp.inf, g.dtype), cohort.one_each)
        best = jax.lax.fori_loop(0, g.shape[0], shrink, start)[
            2
        ]  # a step removes at least one client
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
    """DnC: on random coordinates, leaves out the removed * f clients farthest along the direction
    of largest spread; the mean of those who are never left out. Needs n > 2f and somebody left.

    Args:
      num_byzantine: f.
      coordinates: looked at in each iteration, drawn with replacement.
      iterations: with other coordinates each.
      removed: the paper's c, clients left out per Byzantine one.
      seed: of the coordinates.
    """
    f = num_byzantine
    check(f)
    out = round(removed * f)

    def init(params) -> DivideState:
        del params
        return DivideState(jnp.zeros((), jnp.int32))

    def reduce(cohort: Cohort, state: DivideState):
        n, p = cohort.present.sum(), cohort.updates.shape[1]
        good = cohort.present
        for k in range(iterations):
            key = jax.random.fold_in(round_key(seed, state.round), k)
            some = jax.random.randint(key, (min(coordinates, p),), 0, p, jnp.int32)
            spread = principal(gram(cohort.updates[:, some], cohort.present), cohort.one_each)[1]
            good = good & (ranks(jnp.where(cohort.present, spread, jnp.inf)) < n - out)
        direction = combine(cohort.updates, normalised(good.astype(jnp.float64)))
        defined = (n > 2 * f) & good.any()
        return jnp.where(defined, direction, jnp.nan), state._replace(round=state.round + 1)

    return reducing(reduce, init)
