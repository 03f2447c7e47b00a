"""Central DP-FedAvg: differential privacy of whole clients, with noise that a trusted server adds.

    S = sum_i min(1, C / ||x_i||) x_i        over those present
    d = (S + s C N(0, I)) / m                m: clients expected in a round, whoever comes

Every client counts the same, and m is fixed before the training: so a client moves S by at most C,
and nothing else. Weights by examples, or the number of those present, would tell of it without
noise. Adaptive clipping lets C follow a quantile of the norms, by a count that has noise as well:

    b = 1/2 + (sum_i (1[||x_i|| <= C] - 1/2) + s_b N(0, 1)) / m
    C <- C exp(-eta (b - gamma))
    s' = (s^-2 - (2 s_b)^-2)^(-1/2)          of S, so that both together are as private as s

The formulas are from memory.

References:
  McMahan et al. (2018), https://arxiv.org/abs/1710.06963
  Andrew et al. (2021), https://arxiv.org/abs/1905.03871
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fedbrain.aggregators.checks import expect_private
from fedbrain.aggregators.cohort import Cohort, reducing
from fedbrain.aggregators.linear_algebra import blockwise, squared_norms
from fedbrain.aggregators.noise import NoiseState, first_noise, key_of, normal
from fedbrain.types import Aggregator


def clipped_sum(
    cohort: Cohort, clip_norm: Float[Array, ""] | float
) -> tuple[Float[Array, " p"], Float[Array, " clients"]]:
    """sum_i min(1, C / ||x_i||) x_i, and the norms; absent clients are zeros.

    >>> cohort = Cohort(jnp.array([[3.0, 4.0], [0.0, 0.5]]), jnp.array([7.0, 1.0]))
    >>> clipped_sum(cohort, 1.0)[0].round(3).tolist()
    [0.6, 1.3]
    """
    with jax.enable_x64(True):
        norms = jnp.sqrt(squared_norms(cohort.updates, cohort.present))
        factors = jnp.minimum(1.0, clip_norm / jnp.maximum(norms, 1e-300))

        def block(rows: Array) -> Array:
            read = jnp.where(cohort.present[:, None], rows, 0).astype(jnp.float64)
            return factors @ read

        return blockwise(block, cohort.updates), norms


def dp_fedavg(
    expected: int,
    clip_norm: float,
    noise_multiplier: float,
    delta_dp: float = 1e-5,
    seed: int = 0,
) -> Aggregator:
    """DP-FedAvg: the sum of clipped updates plus noise, over a fixed number of clients.

    >>> x = jnp.array([[3.0, 4.0], [0.0, 1.0], [jnp.nan, 0.0]])  # the third one is absent
    >>> rule = dp_fedavg(expected=4, clip_norm=1.0, noise_multiplier=0.0)
    >>> print(rule.update(x, rule.init(x[0]), weights=jnp.array([9.0, 1.0, 0.0]))[0])
    [0.15 0.45]

    Args:
      expected: m, clients of a round.
      clip_norm: C, in units of the updates.
      noise_multiplier: s, standard deviation of the noise in `clip_norm`; 0: none, and no privacy.
      delta_dp: for which epsilon is told; below 1 / clients. 1e-5: usual in the literature.
      seed: of the noise.
    """
    expect_private(expected, noise_multiplier, delta_dp, clip_norm=clip_norm)

    def init(params) -> NoiseState:
        del params  # a counter, whatever the model
        return first_noise(seed)

    def reduce(cohort: Cohort, state: NoiseState):
        total, _ = clipped_sum(cohort, clip_norm)
        noise = normal(key_of(state, state.round), total.size)
        noisy = total + noise_multiplier * clip_norm * noise
        return noisy / expected, state._replace(round=state.round + 1)

    return reducing(reduce, init)


class AdaptiveState(NamedTuple):
    """Memory of `dp_fedavg_adaptive`."""

    clip_norm: Float[Array, ""]  # C, in units of the updates
    noise: NoiseState


def noise_of_sum(noise_multiplier: float, count_noise: float) -> float:
    """s' = (s^-2 - (2 s_b)^-2)^(-1/2): with the count, as private as a sum alone with s.

    Args:
      noise_multiplier: s.
      count_noise: s_b, above s / 2.

    >>> round(noise_of_sum(3.0, 2.5), 6), noise_of_sum(0.0, 0.0)
    (3.75, 0.0)
    """
    if noise_multiplier == 0:
        return 0.0
    if not 2 * count_noise > noise_multiplier:
        raise ValueError(
            f"Expected count_noise={count_noise} > noise_multiplier / 2 = {noise_multiplier / 2:g},"
            " since the count of unclipped updates spends of the same privacy."
        )
    return (noise_multiplier**-2 - (2 * count_noise) ** -2) ** -0.5


def dp_fedavg_adaptive(
    expected: int,
    noise_multiplier: float,
    count_noise: float,
    quantile: float = 0.5,
    learning_rate: float = 0.2,
    initial: float = 0.1,
    delta_dp: float = 1e-5,
    seed: int = 0,
) -> Aggregator:
    """DP-FedAvg whose clipping norm follows a quantile of the norms, by a count with noise.

    >>> x = jnp.array([[1.0, 0.0], [0.0, 2.0], [3.0, 0.0]])
    >>> rule = dp_fedavg_adaptive(3, noise_multiplier=0.0, count_noise=0.0, initial=1.5)
    >>> _, state = rule.update(x, rule.init(x[0]), weights=jnp.ones(3))
    >>> round(float(state.clip_norm), 3)  # one of three is shorter, fewer than half: C grows
    1.551

    Args:
      expected: m, clients of a round.
      noise_multiplier: s of sum and count together; 0: no noise, and no privacy.
      count_noise: s_b, standard deviation of the noise of the count, in clients; above s / 2.
        m / 20 as published.
      quantile: gamma, .5 as published.
      learning_rate: eta, .2 as published.
      initial: C before the first round, .1 as published.
      delta_dp: for which epsilon is told; below 1 / clients. 1e-5: usual in the literature.
      seed: of the noise.
    """
    expect_private(expected, noise_multiplier, delta_dp, initial=initial)
    if not 0 < quantile < 1 or not learning_rate > 0 or not count_noise >= 0:
        raise ValueError(
            "Expected 0 < quantile < 1, learning_rate > 0 and count_noise >= 0, got"
            f" {(quantile, learning_rate, count_noise)}."
        )
    multiplier = noise_of_sum(noise_multiplier, count_noise)

    def init(params) -> AdaptiveState:
        del params  # one number and a counter, whatever the model
        return AdaptiveState(jnp.asarray(initial, jnp.float32), first_noise(seed))

    def reduce(cohort: Cohort, state: AdaptiveState):
        bound = state.clip_norm.astype(jnp.float64)
        total, norms = clipped_sum(cohort, bound)
        key, of_count = (key_of(state.noise, state.noise.round, k) for k in (0, 1))
        noisy = total + multiplier * bound * normal(key, total.size)
        votes = jnp.where(cohort.present, (norms <= bound) - 0.5, 0).sum()
        share = 0.5 + (votes + count_noise * normal(of_count, 1)[0]) / expected
        new = bound * jnp.exp(-learning_rate * (share - quantile))
        noise = state.noise._replace(round=state.noise.round + 1)
        return noisy / expected, AdaptiveState(new.astype(jnp.float32), noise)

    return reducing(reduce, init)
