"""Server optimisers as published, which optax's of the same names are not.

    m <- b1 m + (1 - b1) d
    v <- v + d^2                              fedadagrad
    v <- b2 v + (1 - b2) d^2                  fedadam
    v <- v - (1 - b2) d^2 sign(v - d^2)       fedyogi
    w <- w - eta m / (sqrt v + tau)

No bias correction; tau outside the root; v starts at v0. With v0 = 0 and v < d^2, Yogi is Adagrad
with learning rate eta / sqrt(1 - b2). `correction` multiplies the step by sqrt(1 - b2^t) / (1 -
b1^t): t counted from 1 is Kingma's, from 2 what Flower 1.41 does.

References:
  Reddi et al. (2021), https://arxiv.org/abs/2003.00295, algorithm 2
"""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from fedbrain.algorithms.ranges import in_range
from fedbrain.algorithms.schedules import SCHEDULES
from fedbrain.types import Params

SecondMoment = Callable[[Array, Array], Array]  # (v, d^2) -> v


class FedOptState(NamedTuple):
    """Memory of the adaptive server optimisers."""

    m: Float[Array, " p"]  # first moment of the direction
    v: Float[Array, " p"]  # second moment
    round: Int[Array, ""]


def _fedopt(
    moment: SecondMoment, eta: float, b1: float, b2: float, tau: float, v0: float, correction: int
):
    if not (
        eta > 0
        and 0 <= b1 < 1
        and 0 < b2 < 1
        and tau >= 0
        and v0 >= 0
        and tau + v0 > 0
        and correction >= 0
    ):
        raise ValueError(
            "Expected learning_rate > 0, 0 <= b1 < 1, 0 < b2 < 1, tau and v0 >= 0 but not both 0,"
            f" correction >= 0, got {(eta, b1, b2, tau, v0, correction)}."
        )

    def init(params: Params) -> FedOptState:
        return FedOptState(
            jnp.zeros_like(params), jnp.full_like(params, v0), jnp.zeros((), jnp.int32)
        )

    def update(updates, state, params=None):
        del params
        m = b1 * state.m + (1 - b1) * updates
        v = moment(state.v, updates**2)
        t = state.round + correction
        factor = jnp.sqrt(1 - b2**t) / (1 - b1**t) if correction else 1.0
        step = -eta * factor * m / (jnp.sqrt(v) + tau)
        return step, FedOptState(m, v, state.round + 1)

    return optax.GradientTransformation(init, update)


def fedadagrad(
    learning_rate: float, b1: float = 0.0, tau: float = 1e-3, v0: float = 0.0
) -> optax.GradientTransformation:
    """FedAdagrad; the published b1 is 0 (FLamby uses .9).

    Args:
      learning_rate: eta of the server.
      b1: decay of the first moment.
      tau: adaptivity, 1e-3 as published.
      v0: second moment before the first round; the paper allows any v0 >= tau^2.

    >>> rule, d = fedadagrad(0.1), jnp.array([4.0])
    >>> round(float(rule.update(d, rule.init(d))[0][0]), 4)
    -0.1
    """
    return _fedopt(lambda v, s: v + s, learning_rate, b1, 0.5, tau, v0, 0)


def fedadam(
    learning_rate: float,
    b1: float = 0.9,
    b2: float = 0.99,
    tau: float = 1e-3,
    v0: float = 0.0,
    correction: int = 0,
) -> optax.GradientTransformation:
    """FedAdam. Arguments as `fedadagrad`; `correction` 0 as published, 1 Kingma's, 2 Flower's.

    >>> rule, d = fedadam(0.1), jnp.array([4.0])
    >>> round(float(rule.update(d, rule.init(d))[0][0]), 4)
    -0.0998
    """
    return _fedopt(lambda v, s: b2 * v + (1 - b2) * s, learning_rate, b1, b2, tau, v0, correction)


def fedyogi(
    learning_rate: float, b1: float = 0.9, b2: float = 0.99, tau: float = 1e-3, v0: float = 0.0
) -> optax.GradientTransformation:
    """FedYogi. Arguments as `fedadagrad`.

    >>> rule, d = fedyogi(0.1), jnp.array([4.0])
    >>> round(float(rule.update(d, rule.init(d))[0][0]), 4)
    -0.0998
    """
    return _fedopt(
        lambda v, s: v - (1 - b2) * s * jnp.sign(v - s), learning_rate, b1, b2, tau, v0, 0
    )


def fedavgm(learning_rate: float = 1.0, beta: float = 0.9) -> optax.GradientTransformation:
    """b <- beta b + d, w <- w - eta b.

    >>> rule, d = fedavgm(), jnp.array([4.0])
    >>> rule.update(d, rule.init(d))[0].tolist()
    [-4.0]

    References:
      Hsu et al. (2019), https://arxiv.org/abs/1909.06335
    """
    return optax.sgd(learning_rate, momentum=beta)


def diloco(learning_rate: float = 0.7, beta: float = 0.9) -> optax.GradientTransformation:
    """Outer Nesterov momentum: b <- beta b + d, w <- w - eta (d + beta b).

    >>> rule, d = diloco(learning_rate=1.0), jnp.array([4.0])
    >>> round(float(rule.update(d, rule.init(d))[0][0]), 4)
    -7.6

    References:
      Douillard et al. (2023), https://arxiv.org/abs/2311.08105
    """
    return optax.sgd(learning_rate, momentum=beta, nesterov=True)


def scheduled(
    learning_rate: float, rounds: int, schedule: str = "cosine", warmup: int = 0
) -> optax.GradientTransformation:
    """Plain steps whose length falls over rounds, after a linear warm-up.

    Args:
      learning_rate: of the server at its highest.
      rounds: until the schedule ends.
      schedule: a name of `SCHEDULES`.
      warmup: rounds of the linear rise.

    >>> rule, d = scheduled(1.0, rounds=4, warmup=1), jnp.array([4.0])
    >>> rule.update(d, rule.init(d))[0].tolist()
    [-2.0]
    """
    if schedule not in SCHEDULES or rounds < 1 or not 0 <= warmup < rounds:
        raise ValueError(
            f"Expected a schedule of {sorted(SCHEDULES)} and 0 <= warmup < rounds, got"
            f" {(schedule, warmup, rounds)}."
        )
    after = [SCHEDULES[schedule]()(k, rounds - warmup) for k in range(rounds - warmup + 1)]
    before = [(k + 1) / (warmup + 1) for k in range(warmup)]
    table = learning_rate * jnp.asarray([*before, *after], jnp.float32)
    return optax.sgd(lambda step: table[jnp.minimum(step, table.size - 1)])


SERVER_OPTIMIZERS = {
    "fedadagrad": fedadagrad,
    "fedadam": fedadam,
    "fedyogi": fedyogi,
    "fedavgm": in_range(fedavgm),
    "diloco": in_range(diloco),
    "scheduled": in_range(scheduled),
}
