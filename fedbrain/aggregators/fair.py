"""Fair rules: hospitals on which the model is worse weigh more.

F_i is the loss of the global model w on client i's data before it trains, reported as `global_loss`
(`algorithm = "report_global_loss()"`).

References:
  Li et al. (2020), q-FedAvg, https://arxiv.org/abs/1905.10497
  Mohri et al. (2019), agnostic federated learning, https://arxiv.org/abs/1902.00146
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fedbrain.aggregators.checks import expect_clients
from fedbrain.aggregators.cohort import Cohort, linear, normalised, reducing
from fedbrain.aggregators.linear_algebra import combine, squared_norms
from fedbrain.types import Aggregator


def q_fedavg(q: float, learning_rate: float) -> Aggregator:
    """sum_i F_i^q L x_i / sum_i (q F_i^(q-1) ||L x_i||^2 + L F_i^q), with L = 1 / learning_rate.

    >>> x = jnp.array([[0.5, 0.0], [0.0, 0.5]])
    >>> reports = {"weights": jnp.ones(2), "metrics": {"global_loss": jnp.array([1.0, 2.0])}}
    >>> rule = q_fedavg(q=1.0, learning_rate=0.5)
    >>> rule.update(x, rule.init(x[0]), **reports)[0].tolist()
    [0.125, 0.25]

    Args:
      q: 0 is the uniform mean; larger is fairer. The paper uses 0 to 5.
      learning_rate: of the clients: an estimate of 1 / Lipschitz constant.
    """
    if not q >= 0 or not learning_rate > 0:
        raise ValueError(f"Expected q >= 0 and learning_rate > 0, got {(q, learning_rate)}.")
    lipschitz = 1 / learning_rate

    def coefficients(cohort: Cohort) -> Array:
        loss = jnp.maximum(cohort.metric("global_loss"), 1e-10)
        squares = lipschitz**2 * squared_norms(cohort.updates, cohort.present)
        steps = q * loss ** (q - 1) * squares + lipschitz * loss**q
        top, bottom = (jnp.where(cohort.present, x, 0) for x in (lipschitz * loss**q, steps))
        return top / jnp.maximum(bottom.sum(), 1e-300)

    return linear(coefficients)


class AgnosticState(NamedTuple):
    """Memory of `agnostic`."""

    mixture: Float[Array, " clients"]  # lambda, on the simplex


def agnostic(clients: int, step: float = 0.01) -> Aggregator:
    """sum_i lambda_i x_i, then lambda <- projection of lambda + step * F: the worst mixture.

    As published, the model and the mixture step at once, each along what was before.

    >>> x = jnp.array([[1.0, 0.0], [0.0, 1.0]])
    >>> reports = {"weights": jnp.ones(2), "metrics": {"global_loss": jnp.array([1.0, 3.0])}}
    >>> rule = agnostic(clients=2, step=0.125)
    >>> direction, state = rule.update(x, rule.init(x[0]), **reports)
    >>> direction.tolist(), rule.update(x, state, **reports)[0].tolist()
    ([0.5, 0.5], [0.375, 0.625])

    Args:
      clients: of the federation; the memory has one number for each.
      step: of the mixture; arbitrary.
    """
    if clients < 1 or not step > 0:
        raise ValueError(f"Expected clients >= 1 and step > 0, got {(clients, step)}.")

    def init(params) -> AgnosticState:
        del params  # a number for each client, none for each coordinate
        return AgnosticState(jnp.full(clients, 1 / clients, jnp.float32))

    def reduce(cohort: Cohort, state: AgnosticState):
        expect_clients(cohort, clients)
        climb = step * jnp.where(cohort.present, cohort.metric("global_loss"), 0)
        ascended = state.mixture.astype(climb.dtype).at[cohort.places].add(climb)
        mixture = project_on_simplex(ascended, jnp.ones_like(ascended))
        before = state.mixture[cohort.places].astype(mixture.dtype)
        alpha = normalised(jnp.where(cohort.present, before, 0))
        return combine(cohort.updates, alpha), AgnosticState(mixture.astype(jnp.float32))

    return reducing(reduce, init)


def project_on_simplex(
    x: Float[Array, " n"], upper: Float[Array, " n"], lower: Float[Array, " n"] | float = 0.0
) -> Float[Array, " n"]:
    """The nearest point with sum 1 and lower <= . <= upper, by bisection of its shift.

    >>> print(project_on_simplex(jnp.array([0.75, 0.75, -2.0]), jnp.ones(3)).round(3))
    [0.5 0.5 0. ]
    """

    def halve(_, bounds: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = bounds
        middle = 0.5 * (low + high)
        above = jnp.clip(x - middle, lower, upper).sum() > 1
        return jnp.where(above, middle, low), jnp.where(above, high, middle)

    widest = (jnp.min(x - upper) - 1.0, jnp.max(x - lower) + 1.0)
    low, high = jax.lax.fori_loop(0, 100, halve, widest)
    return jnp.clip(x - 0.5 * (low + high), lower, upper)
