"""Clients that send nonsense, on purpose or not, and clients that do not come."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from fedbrain.aggregators.attacks.omniscient import byzantine
from fedbrain.aggregators.cohort import Cohort, keeping, round_key
from fedbrain.types import Aggregator


class RandomState(NamedTuple):
    """Memory of a random link."""

    round: Int[Array, ""]  # with the seed: what is drawn


def _rows(num_byzantine: int, change: Callable[[Float[Array, "clients p"]], Array]) -> Aggregator:
    if num_byzantine < 0:
        raise ValueError(f"Expected num_byzantine={num_byzantine} >= 0.")

    def link(cohort: Cohort, state):
        bad = byzantine(cohort, num_byzantine)[:, None]
        return (
            cohort._replace(updates=jnp.where(bad, change(cohort.updates), cohort.updates)),
            state,
        )

    return keeping(link)


def sign_flip(num_byzantine: int) -> Aggregator:
    """Minus what the client should send; the bit-flipping attack of the robustness literature."""
    return _rows(num_byzantine, jnp.negative)


def scale(num_byzantine: int, factor: float = 100.0) -> Aggregator:
    """`factor` times what the client should send."""
    return _rows(num_byzantine, lambda x: factor * x)


def not_a_number(num_byzantine: int) -> Aggregator:
    """NaN everywhere; every server rejects it on arrival."""
    return _rows(num_byzantine, lambda x: jnp.full_like(x, jnp.nan))


def _first_round(params) -> RandomState:
    del params
    return RandomState(jnp.zeros((), jnp.int32))


def gaussian(num_byzantine: int, deviation: float, seed: int = 0) -> Aggregator:
    """Normal noise of this standard deviation instead of an update."""
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
    """Every client's update is lost with this probability, after it has trained."""
    if not 0 <= probability < 1:
        raise ValueError(f"Expected 0 <= probability={probability} < 1.")

    def link(cohort: Cohort, state: RandomState):
        key = round_key(seed, state.round)
        lost = jax.random.uniform(key, cohort.weights.shape, jnp.float32) < probability
        weights = jnp.where(lost, 0, cohort.weights)
        return cohort._replace(weights=weights), state._replace(round=state.round + 1)

    return keeping(link, _first_round)
