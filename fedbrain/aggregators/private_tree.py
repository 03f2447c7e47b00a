"""DP-FTRL: the sums of all rounds so far get noise from a binary tree, and the model follows them.

    S_t = sum_i min(1, C / ||x_i||) x_i of round t        Z_t = sum of s C N(0, I) over the nodes
    d_t = (S_t + Z_t - Z_(t-1)) / m                             whose rounds make up 1..t

With steps w <- w - eta d_t the model is w_0 - eta (S_1 + ... + S_t + Z_t) / m, which is FTRL; a
server with momentum makes DP-FTRLM of it. A node of height h has 2^h rounds, and ends at a multiple
of 2^h. Of t = 6 = 4 + 2 the nodes are (2, 4) and (1, 6), each (height, last round). So at most
log2 t + 1 nodes are in Z_t, where noise of every round alone adds up t times. The price is that a
client is in many nodes: `fedbrain.analysis.tree_privacy` counts them.

Only nodes that some sum uses are drawn. A node is a function of seed, height and last round: none
is remembered, and Z_t - Z_(t-1) draws two nodes a round on average.

The formulas are from memory.

References:
  Kairouz et al. (2021), https://arxiv.org/abs/2103.00039
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from fedbrain.aggregators.checks import expect_private
from fedbrain.aggregators.cohort import Cohort, reducing
from fedbrain.aggregators.noise import NoiseState, first_noise, key_of, normal
from fedbrain.aggregators.private_mean import clipped_sum
from fedbrain.types import Aggregator

NEVER = 2**30  # rounds: no training is as long


def tree_increment(state: NoiseState, restart_every: int, size: int) -> Float[Array, " size"]:
    """Z_t - Z_(t-1) of the round that begins, with nodes of N(0, I).

    >>> from fedbrain.aggregators.noise import first_noise
    >>> tree_increment(first_noise(0), 4, 2).shape
    (2,)

    Args:
      state: seed, and rounds completed.
      restart_every: rounds of a tree, after which the next one begins.
      size: numbers.
    """
    tree, before = state.round // restart_every, state.round % restart_every
    t = before + 1
    height = jax.lax.population_count((t & -t) - 1)  # t is a multiple of 2^height and no more

    def node(h: Int[Array, ""], end: Int[Array, ""]) -> Array:
        return normal(key_of(state, tree, h, end), size)

    def add(h: Array, total: Array) -> Array:  # t - 1 ends with `height` ones: a node for each
        h = h.astype(t.dtype)
        return total + node(h, (before >> h) << h)

    old = jax.lax.fori_loop(0, height, add, jnp.zeros(size, jnp.result_type(float)))
    return node(height, t) - old  # in float64 inside a rule


def dp_ftrl(
    expected: int,
    clip_norm: float,
    noise_multiplier: float,
    restart_every: int = NEVER,
    delta_dp: float = 1e-5,
    seed: int = 0,
) -> Aggregator:
    """DP-FTRL: as `dp_fedavg`, with noise from a binary tree over rounds.

    For `sgd` or momentum at the server; others are as private. Where every client is in every
    round, `dp_fedavg` of the same epsilon has less noise: trees are for clients that take part
    seldom.

    >>> x = jnp.array([[3.0, 4.0], [0.0, 1.0]])
    >>> rule = dp_ftrl(expected=2, clip_norm=1.0, noise_multiplier=0.0)
    >>> print(rule.update(x, rule.init(x[0]), weights=jnp.ones(2))[0])
    [0.3 0.9]

    Args:
      expected: m, clients of a round.
      clip_norm: C, in units of the updates.
      noise_multiplier: s, standard deviation of a node in `clip_norm`; 0: none, and no privacy.
      restart_every: rounds after which a new tree begins; 1 is `dp_fedavg`.
      delta_dp: for which epsilon is told; below 1 / clients. 1e-5: usual in the literature.
      seed: of the noise.
    """
    expect_private(expected, noise_multiplier, delta_dp, clip_norm=clip_norm)
    if not 1 <= restart_every <= NEVER:
        raise ValueError(f"Expected 1 <= restart_every={restart_every} <= {NEVER}.")

    def init(params) -> NoiseState:
        del params  # a counter, whatever the model
        return first_noise(seed)

    def reduce(cohort: Cohort, state: NoiseState):
        total, _ = clipped_sum(cohort, clip_norm)
        noise = tree_increment(state, restart_every, total.size)
        noisy = total + noise_multiplier * clip_norm * noise
        return noisy / expected, state._replace(round=state.round + 1)

    return reducing(reduce, init)
