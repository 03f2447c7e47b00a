"""Keeping links that shorten updates: x_i <- min(1, bound / ||x_i||) x_i.

References:
  Andrew et al. (2021), adaptive quantile clipping, https://arxiv.org/abs/1905.03871
  Allouah et al. (2025), adaptive robust clipping (ARC), https://arxiv.org/abs/2405.14432
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from fedbrain.aggregators.checks import expect_byzantine
from fedbrain.aggregators.cohort import Cohort, keeping
from fedbrain.aggregators.linear_algebra import squared_norms
from fedbrain.types import Aggregator


def norms(cohort: Cohort) -> Float[Array, " clients"]:
    """||x_i||, in float64; 0 where absent.

    >>> norms(Cohort(jnp.array([[3.0, 4.0], [1.0, 0.0]]), jnp.array([1.0, 0.0]))).tolist()
    [5.0, 0.0]
    """
    return jnp.sqrt(squared_norms(cohort.updates, cohort.present))


def _shorten(cohort: Cohort, bound: Array) -> Cohort:
    factor = jnp.minimum(1.0, bound / jnp.maximum(norms(cohort), 1e-300))
    return cohort._replace(updates=cohort.updates * factor[:, None].astype(cohort.updates.dtype))


def clip_by_client_norm(clip_norm: float) -> Aggregator:
    """A fixed bound, in units of the updates.

    >>> x = jnp.array([[6.0, 8.0], [0.0, 1.0]])
    >>> link = clip_by_client_norm(5.0)
    >>> clipped, _ = link.update(x, link.init(x[0]), weights=jnp.ones(2))
    >>> clipped.updates.tolist()
    [[3.0, 4.0], [0.0, 1.0]]
    """
    if not clip_norm > 0:
        raise ValueError(f"Expected clip_norm={clip_norm} > 0.")
    return keeping(lambda cohort, state: (_shorten(cohort, jnp.asarray(clip_norm)), state))


def clip_by_layer_norm(clip_norm: float) -> Aggregator:
    """Every layer has its own bound, so that no layer shortens the others: S = clip_norm / sqrt(m)
    each for m layers, and clip_norm for all together.

    >>> x = {"conv": {"kernel": jnp.array([[6.0, 8.0]])}, "head": {"kernel": jnp.array([[1.0]])}}
    >>> link = clip_by_layer_norm(5.0 * 2**0.5)
    >>> clipped, _ = link.update(x, link.init(x), weights=jnp.ones(1))
    >>> [float(jnp.linalg.norm(clipped.updates[name]["kernel"]).round(3)) for name in x]
    [5.0, 1.0]

    References:
      McMahan et al. (2018), https://arxiv.org/abs/1710.06963
    """
    if not clip_norm > 0:
        raise ValueError(f"Expected clip_norm={clip_norm} > 0.")

    def link(cohort: Cohort, state):
        bound = jnp.asarray(clip_norm / len(cohort.layers) ** 0.5)
        parts = [
            _shorten(cohort._replace(updates=cohort.updates[:, layer.start : layer.end]), bound)
            for layer in cohort.layers
        ]
        return cohort._replace(updates=jnp.concatenate([part.updates for part in parts], 1)), state

    return keeping(link)


def clip_by_median_norm() -> Aggregator:
    """The bound is the median norm of those present: nobody is longer than half of them.

    >>> x = jnp.array([[1.0, 0.0], [0.0, 2.0], [300.0, 400.0]])
    >>> link = clip_by_median_norm()
    >>> clipped, _ = link.update(x, link.init(x[0]), weights=jnp.ones(3))
    >>> print(clipped.updates[2].round(3))
    [1.2 1.6]
    """

    def link(cohort: Cohort, state):
        bound = jnp.nanmedian(jnp.where(cohort.present, norms(cohort), jnp.nan))
        return _shorten(cohort, bound), state

    return keeping(link)


class QuantileState(NamedTuple):
    """Memory of `clip_by_quantile_norm`."""

    clip_norm: Float[Array, ""]  # S, in units of the updates


def clip_by_quantile_norm(
    quantile: float = 0.5, learning_rate: float = 0.2, initial: float = 0.1
) -> Aggregator:
    """The bound S follows a quantile of the norms.

    S <- S exp(-eta (share of clients with ||x_i|| <= S - gamma))

    >>> x = jnp.array([[1.0, 0.0], [0.0, 2.0], [3.0, 0.0]])
    >>> link = clip_by_quantile_norm(initial=1.5)
    >>> _, state = link.update(x, link.init(x[0]), weights=jnp.ones(3))
    >>> round(float(state.clip_norm), 3)  # one of three is shorter, fewer than half: S grows
    1.551

    Args:
      quantile: gamma, .5 as published.
      learning_rate: eta, .2 as published.
      initial: S_0, .1 as published.
    """
    if not 0 < quantile < 1 or not learning_rate > 0 or not initial > 0:
        raise ValueError(
            "Expected 0 < quantile < 1 and positive numbers, got"
            f" {(quantile, learning_rate, initial)}."
        )

    def init(params) -> QuantileState:
        del params  # one number, whatever the model
        return QuantileState(jnp.asarray(initial, jnp.float32))

    def link(cohort: Cohort, state: QuantileState):
        below = (norms(cohort) <= state.clip_norm) & cohort.present
        share = below.sum() / jnp.maximum(cohort.present.sum(), 1)
        new = state.clip_norm * jnp.exp(-learning_rate * (share - quantile))
        return _shorten(cohort, state.clip_norm), QuantileState(new.astype(jnp.float32))

    return keeping(link, init)


def adaptive_robust_clipping(num_byzantine: int) -> Aggregator:
    """ARC: the floor(2 f (n - f) / n) longest updates become as long as the next one.

    >>> x = jnp.array([[1.0], [2.0], [3.0], [400.0]])
    >>> link = adaptive_robust_clipping(num_byzantine=1)
    >>> clipped, _ = link.update(x, link.init(x[0]), weights=jnp.ones(4))
    >>> clipped.updates.ravel().tolist()
    [1.0, 2.0, 3.0, 3.0]

    Args:
      num_byzantine: f.
    """
    f = num_byzantine
    expect_byzantine(f)

    def link(cohort: Cohort, state):
        n = cohort.present.sum()
        longest = (2 * f * (n - f)) // jnp.maximum(n, 1)
        ordered = jnp.sort(jnp.where(cohort.present, norms(cohort), jnp.inf))
        bound = ordered[jnp.clip(n - longest - 1, 0, ordered.size - 1)]
        return _shorten(cohort, bound), state

    return keeping(link)
