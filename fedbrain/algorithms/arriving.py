"""What arrives at a server's rule once attackers and links before it had their turn, for whoever
reads local models beside the rule: a server with examples of its own (`server_data`).

    updates -> lies beside the delta -> links that keep the clients axis -> updates
"""

from collections.abc import Callable, Sequence
from typing import Any, cast

import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from fedbrain.aggregators.attacks.beside import Lie
from fedbrain.aggregators.cohort import Kept
from fedbrain.aggregators.matrix import layers_of
from fedbrain.types import Aggregator, Algorithm, ServerState, Update

Arrive = Callable[[ServerState, Update], Update]


def arriving(algorithm: Algorithm, lies: Sequence[Lie], links: Sequence[Aggregator]) -> Arrive:
    """(the server before its step, updates as they were sent) -> as the rule sees them.

    Args:
      algorithm: whose server has these links first in its chain.
      lies: on all that arrives.
      links: that keep the clients axis, with the memory that they had before the step.

    >>> from fedbrain.aggregators.attacks import scale
    >>> from fedbrain.algorithms.quadratic import quadratic_algorithm
    >>> algorithm = quadratic_algorithm()
    >>> state = algorithm.init({"params": {"w": jnp.zeros(1)}}, jnp.ones(2))
    >>> link = scale(1, factor=-5.0)
    >>> state = state._replace(opt_state=((link.init(jnp.zeros(1)),), ()))
    >>> updates = Update(jnp.array([[1.0], [2.0]]), {}, jnp.ones(2), {}, ())
    >>> arriving(algorithm, [], [link])(state, updates).delta.tolist()
    [[1.0], [-10.0]]
    """

    def arrive(before: ServerState, updates: Update) -> Update:
        for lie in lies:
            updates = lie.tamper(updates)
        shared = algorithm.shared({"params": before.params})["params"]
        vector, _ = ravel_pytree(shared)
        told: dict[str, Any] = {"weights": updates.weight, "metrics": updates.metrics}
        told |= {"extra": updates.extra, "layers": layers_of(shared)}
        memories, _ = cast(tuple, before.opt_state)
        moving = -updates.delta
        for link, memory in zip(links, memories):
            moving, _ = link.update(moving, memory, vector, **told)
            if isinstance(moving, Kept):
                told |= dict(moving.changed)
                moving = moving.updates
        return updates._replace(delta=-cast(jnp.ndarray, moving), weight=told["weights"])

    return arrive
