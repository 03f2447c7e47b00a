"""A client that sends an honest delta, and lies in everything else or in a part of it.

These attacks act on what arrives, before the server looks at it, and not as links of a chain: a
link sees deltas, reports and uploads, and neither batch statistics nor what an algorithm's server
is told.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

from fedbrain.aggregators.checks import expect_byzantine
from fedbrain.types import PLACE, Reduce, Reduced, ServerState, Update

CHANNELS = ("statistics", "uploads", "reports", "weight")
KNOWN = (PLACE, "trusted")  # of the server, told by no client


class Lie(NamedTuple):
    """What arrives in place of what clients sent."""

    tamper: Callable[[Update], Update]  # of a cohort, [clients, ...]


def lie_beside(num_byzantine: int, value: float = 1e30, channel: str = "everything") -> Lie:
    """An honest delta beside `value` in every number of a channel: the batch statistics, what an
    algorithm uploads (`uploads`), losses and counts (`reports`), examples (`weight`), or all.

    >>> updates = Update(jnp.ones((2, 1)), {"var": jnp.ones((2, 1))}, jnp.ones(2), {}, ())
    >>> lied = lie_beside(1, channel="statistics", value=5.0).tamper(updates)
    >>> lied.model_state["var"].tolist(), lied.delta.tolist(), lied.weight.tolist()
    ([[1.0], [5.0]], [[1.0], [1.0]], [1.0, 1.0])

    Args:
      num_byzantine: f, the last of those present.
      value: that is sent; negative for a negative variance.
      channel: `statistics`, `uploads`, `reports`, `weight` or `everything`.
    """
    expect_byzantine(num_byzantine)
    if channel not in (*CHANNELS, "everything"):
        raise ValueError(f"Expected channel of {(*CHANNELS, 'everything')}, got {channel!r}.")
    lies = CHANNELS if channel == "everything" else (channel,)

    def tamper(updates: Update) -> Update:
        from_the_end = jnp.cumsum((updates.weight > 0)[::-1])[::-1]
        bad = (updates.weight > 0) & (from_the_end <= num_byzantine)

        def lie(leaf: Array) -> Array:
            return _where(bad, jnp.asarray(value, leaf.dtype), leaf)

        reports = {k: x if k in KNOWN else lie(x) for k, x in updates.metrics.items()}
        return updates._replace(
            model_state=jax.tree.map(lie, updates.model_state)
            if "statistics" in lies
            else updates.model_state,
            extra=jax.tree.map(lie, updates.extra) if "uploads" in lies else updates.extra,
            metrics=reports if "reports" in lies else updates.metrics,
            weight=lie(updates.weight) if "weight" in lies else updates.weight,
        )

    return Lie(tamper)


def _where(bad: Bool[Array, " clients"], value: Array, leaf: Array) -> Array:
    return jnp.where(bad.reshape(-1, *[1] * (leaf.ndim - 1)), value, leaf)


def lied_to(reduce: Reduce, lies: Sequence[Lie]) -> Reduce:
    """The server's first half of a step, on what attackers make of the updates.

    >>> def reduce(state, updates):
    ...     return Reduced(updates.weight, (), (), {}, jnp.asarray(True), {})
    >>> state = ServerState(jnp.asarray(0), {}, {}, (), jnp.asarray(1.0), ())
    >>> updates = Update(jnp.ones((2, 1)), {}, jnp.ones(2), {}, ())
    >>> lied_to(reduce, [lie_beside(1, 5.0, "weight")])(state, updates).direction.tolist()
    [1.0, 5.0]

    Args:
      reduce: of an algorithm.
      lies: one after the other; none gives `reduce` itself.
    """
    if not lies:
        return reduce

    def reduced(state: ServerState, updates: Update) -> Reduced:
        for lie in lies:
            updates = lie.tamper(updates)
        return reduce(state, updates)

    return reduced
