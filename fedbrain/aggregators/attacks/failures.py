"""Clients that send nonsense, on purpose or not, and clients that do not come."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from fedbrain.aggregators.attacks.omniscient import byzantine
from fedbrain.aggregators.checks import expect_byzantine
from fedbrain.aggregators.cohort import Cohort, keeping, round_key
from fedbrain.types import Aggregator


class RandomState(NamedTuple):
    """Memory of a random link."""

    round: Int[Array, ""]  # with the seed: what is drawn


def _rows(num_byzantine: int, change: Callable[[Float[Array, "clients p"]], Array]) -> Aggregator:
    expect_byzantine(num_byzantine)

    def link(cohort: Cohort, state):
        bad = byzantine(cohort, num_byzantine)[:, None]
        updates = jnp.where(bad, change(cohort.updates), cohort.updates)
        return cohort._replace(updates=updates), state

    return keeping(link)


def sign_flip(num_byzantine: int) -> Aggregator:
    """Minus what the client should send; the bit-flipping attack of the robustness literature.

    >>> x = jnp.array([[1.0, 2.0], [3.0, 4.0]])
    >>> link = sign_flip(num_byzantine=1)
    >>> link.update(x, link.init(x[0]), weights=jnp.ones(2))[0].updates.tolist()
    [[1.0, 2.0], [-3.0, -4.0]]
    """
    return _rows(num_byzantine, jnp.negative)


def scale(num_byzantine: int, factor: float = 100.0) -> Aggregator:
    """`factor` times what the client should send.

    >>> x = jnp.array([[1.0, 2.0], [3.0, 4.0]])
    >>> link = scale(num_byzantine=1, factor=10.0)
    >>> link.update(x, link.init(x[0]), weights=jnp.ones(2))[0].updates.tolist()
    [[1.0, 2.0], [30.0, 40.0]]
    """
    return _rows(num_byzantine, lambda x: factor * x)


def not_a_number(num_byzantine: int) -> Aggregator:
    """NaN everywhere. Every server rejects this on arrival, before its links.

    >>> x = jnp.array([[1.0, 2.0], [3.0, 4.0]])
    >>> link = not_a_number(num_byzantine=1)
    >>> link.update(x, link.init(x[0]), weights=jnp.ones(2))[0].updates.tolist()
    [[1.0, 2.0], [nan, nan]]
    """
    return _rows(num_byzantine, lambda x: jnp.full_like(x, jnp.nan))


def _first_round(params) -> RandomState:
    del params  # a counter, whatever the model
    return RandomState(jnp.zeros((), jnp.int32))


def gaussian(num_byzantine: int, deviation: float, seed: int = 0) -> Aggregator:
    """Normal noise of this standard deviation instead of an update.

    >>> x = jnp.ones((2, 10_000))
    >>> link = gaussian(num_byzantine=1, deviation=3.0)
    >>> attacked, _ = link.update(x, link.init(x[0]), weights=jnp.ones(2))
    >>> attacked.updates.std(axis=1).round(1).tolist()
    [0.0, 3.0]
    """
    if num_byzantine < 0 or not deviation >= 0:
        raise ValueError(
            f"Expected num_byzantine and deviation >= 0, got {(num_byzantine, deviation)}."
        )

    def link(cohort: Cohort, state: RandomState):
        key = round_key(seed, state.round)
        noise = deviation * jax.random.normal(key, cohort.updates.shape, jnp.float32)
        bad = byzantine(cohort, num_byzantine)[:, None]
        updates = jnp.where(bad, noise.astype(cohort.updates.dtype), cohort.updates)
        return cohort._replace(updates=updates), state._replace(round=state.round + 1)

    return keeping(link, _first_round)


def drop_out(probability: float, seed: int = 0) -> Aggregator:
    """Every client's update is lost with this probability, after it has trained.

    >>> x = jnp.ones((1000, 1))
    >>> link = drop_out(probability=0.3)
    >>> arrived, _ = link.update(x, link.init(x[0]), weights=jnp.ones(1000))
    >>> 250 < int((arrived.changed["weights"] == 0).sum()) < 350
    True
    """
    if not 0 <= probability < 1:
        raise ValueError(f"Expected 0 <= probability={probability} < 1.")

    def link(cohort: Cohort, state: RandomState):
        key = round_key(seed, state.round)
        lost = jax.random.uniform(key, cohort.weights.shape, jnp.float32) < probability
        weights = jnp.where(lost, 0, cohort.weights)
        return cohort._replace(weights=weights), state._replace(round=state.round + 1)

    return keeping(link, _first_round)
