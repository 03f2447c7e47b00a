"""What a round says about its clients, from one Gram matrix G = D D^T: the heterogeneity report,
for every rule.
"""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from fedbrain.aggregators.cohort import in_float64, normalised
from fedbrain.aggregators.linear_algebra import from_centre, gram
from fedbrain.types import Metrics

TINY = 1e-300


def diagnose(
    deltas: Float[Array, "clients p"],
    weights: Float[Array, " clients"],
    direction: Float[Array, " p"],
) -> Metrics:
    """How far the clients pull apart, and what the rule made of them.

    Args:
      deltas: D_i, or all pseudo-gradients -D_i; garbage where weights are 0.
      weights: training examples.
      direction: the aggregate, in the sign of the first argument.

    Returns:
      With M = sum_i p_i D_i, per client [clients]: `delta_norm` ||D_i||, `cosine` cos(D_i, M),
      `drift` ||D_i - M|| / ||M||, `influence` ||M - M without i||, `effective_weight`: the
      coefficients a for which sum_i a_i D_i is nearest to the aggregate (Krum: 1 for the chosen, 0
      for the others; a clipped client: below p_i). As one number: `diversity` sum p ||D_i||^2 /
      ||M||^2 (1 when all agree), `effective_rank` (tr G)^2 / tr G^2, `signal_to_noise`
      ||M||^2 / (variance of M), `explained`: share of the aggregate's squared length that the
      effective weights explain.

    >>> deltas = jnp.array([[1.0, 0.0], [0.0, 1.0]])
    >>> info = diagnose(deltas, jnp.ones(2), deltas.mean(0))
    >>> info["delta_norm"].tolist(), info["effective_weight"].round(3).tolist()
    ([1.0, 1.0], [0.5, 0.5])

    References:
      Yin et al. (2018), gradient diversity, https://arxiv.org/abs/1706.05699
      Roy and Vetterli (2007), effective rank,
      https://www.eurasip.org/Proceedings/Eusipco/Eusipco2007/Papers/a5p-h05.pdf
    """
    return _diagnose(deltas, weights, direction)


@in_float64
def _diagnose(deltas: Array, weights: Array, direction: Array) -> Metrics:
    present = weights > 0
    p = normalised(weights.astype(jnp.float64))
    info = _report(gram(deltas, present, direction), present, p)
    return {name: x.astype(jnp.float32) for name, x in info.items()}


def _report(
    both: Float[Array, "n n"], present: Bool[Array, " clients"], p: Float[Array, " clients"]
) -> Metrics:
    """`diagnose` from the Gram matrix of deltas and direction (the last row), in float64."""
    g, along, length = both[:-1, :-1], both[:-1, -1], both[-1, -1]
    norms = jnp.sqrt(jnp.diag(g))
    mean_square = jnp.maximum(p @ g @ p, TINY)
    apart = jnp.where(present, jnp.sqrt(from_centre(g, p)), 0)
    values, vectors = jnp.linalg.eigh(jnp.where(jnp.isfinite(g), g, 0))
    inverse = jnp.where(
        values > 1e-10 * jnp.max(jnp.abs(values)), 1 / jnp.where(values == 0, 1, values), 0
    )
    alpha = jnp.where(present, vectors @ (inverse * (vectors.T @ along)), 0)
    spread = p @ apart**2 / jnp.maximum(present.sum() - 1, 1)
    return {
        "delta_norm": norms,
        "cosine": (g @ p) / jnp.maximum(norms * jnp.sqrt(mean_square), TINY),
        "drift": apart / jnp.sqrt(mean_square),
        "influence": p / jnp.maximum(1 - p, TINY) * apart,
        "effective_weight": alpha,
        "diversity": p @ jnp.diag(g) / mean_square,
        "effective_rank": jnp.trace(g) ** 2 / jnp.maximum((g**2).sum(), TINY),
        "signal_to_noise": mean_square / jnp.maximum(spread, TINY),
        "explained": along @ alpha / jnp.maximum(length, TINY),
    }
