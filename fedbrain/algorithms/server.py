"""The server's side of an algorithm, in two steps: a cohort's updates become a direction, and the
direction becomes the next model.

    reduce   d = aggregator(-D_1, ..., -D_n)        the sign flips here and nowhere else
    apply    w <- w + optimizer(d)

Between the two nobody needs the cohort any more: a server of large models lets go of it.
"""

from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from fedbrain.aggregators.matrix import layers_of
from fedbrain.aggregators.rejection import finite, finite_clients, variances_of
from fedbrain.aggregators.statistics import StatisticsRule, UploadsRule, as_sent
from fedbrain.algorithms.diagnostics import diagnose
from fedbrain.algorithms.leaves import combine
from fedbrain.algorithms.sharing import Sharing, split
from fedbrain.algorithms.variant import Variant
from fedbrain.types import (
    Aggregator,
    Metrics,
    Reduced,
    ServerState,
    Update,
    Variables,
)  # fmt: skip


class ServerChain(NamedTuple):
    """What the server runs in a round."""

    # links that end in one without clients axis: from pseudo-gradients [clients, p], with `weights`
    # [clients], `metrics` {name: [clients]} and what else was uploaded, to a direction [p]
    aggregator: Aggregator
    optimizer: optax.GradientTransformation  # from the direction [p] to a step [p]
    statistics: StatisticsRule
    uploads: UploadsRule = as_sent  # what the variant sees of `Update.extra`
    steps_alone: bool = False  # also when nobody is there: a private rule may not tell of that


def init_server(
    server: ServerChain,
    variant: Variant,
    sharing: Sharing,
    variables: Variables,
    examples: Float[Array, " clients"],
) -> ServerState:
    """The server's state before the first round.

    Raises:
      ValueError: when nothing that trains is shared.

    >>> from fedbrain.algorithms.quadratic import quadratic_algorithm
    >>> state = quadratic_algorithm().init({"params": {"w": jnp.zeros(1)}}, jnp.ones(3))
    >>> int(state.round), float(state.learning_rate_scale)
    (0, 1.0)
    """
    params, model_state = split(variables)
    shared = sharing.sent_params(params)
    vector, _ = ravel_pytree(shared)
    if not vector.size:
        raise ValueError(
            "Expected an exchange that shares something that trains, got nothing to send."
        )
    return ServerState(
        round=jnp.zeros((), jnp.int32),
        params=params,
        model_state=model_state,
        opt_state=(server.aggregator.init(vector), server.optimizer.init(vector)),
        learning_rate_scale=jnp.ones((), jnp.float32),
        extra=variant.server_init(shared, examples),
    )


def reduce(
    server: ServerChain, variant: Variant, sharing: Sharing, state: ServerState, updates: Update
) -> Reduced:
    """What the server makes of a cohort's updates [clients, ...]; absent clients are not read.

    >>> from fedbrain.algorithms.quadratic import quadratic_algorithm
    >>> algorithm = quadratic_algorithm()
    >>> state = algorithm.init({"params": {"w": jnp.zeros(1)}}, jnp.ones(2))
    >>> updates = Update(jnp.array([[3.0], [1.0]]), {}, jnp.ones(2), {}, ())
    >>> algorithm.reduce(state, updates).direction.tolist()
    [-2.0]
    """
    shared = sharing.sent_params(state.params)
    vector, unravel = ravel_pytree(shared)
    pseudo_gradients = -updates.delta
    sent = (pseudo_gradients, updates.model_state, updates.extra, updates.metrics)
    variances = variances_of(updates.model_state)
    usable = finite_clients(sent, updates.weight, variances=variances)
    weights = jnp.where(usable, updates.weight, 0)
    links, _ = cast(tuple, state.opt_state)
    told = {"metrics": updates.metrics, "extra": updates.extra, "layers": layers_of(shared)}
    aggregate, links = server.aggregator.update(
        pseudo_gradients, links, vector, weights=weights, **told
    )
    direction = cast(Array, aggregate)
    trees = updates._replace(
        delta=jax.vmap(unravel)(updates.delta),
        weight=weights,
        extra=server.uploads(updates.extra, weights),
    )
    adjusted, extra = variant.server(state.extra, trees, unravel(direction))
    rejected = (weights != updates.weight).astype(jnp.float32)
    return Reduced(
        direction=ravel_pytree(adjusted)[0],
        links=links,
        extra=extra,
        model_state=server.statistics(updates.model_state, weights),
        some_present=(weights.sum() > 0) | server.steps_alone,
        info={**diagnose(pseudo_gradients, weights, direction), "rejected": rejected},
    )


def apply(
    server: ServerChain, sharing: Sharing, state: ServerState, cohort: Reduced
) -> tuple[ServerState, Metrics]:
    """The server's step along the direction.

    The round is skipped when nobody is there, unless the server steps alone, or when the rule is
    not defined for those who are.

    >>> from fedbrain.algorithms.quadratic import quadratic_algorithm
    >>> algorithm = quadratic_algorithm()
    >>> state = algorithm.init({"params": {"w": jnp.zeros(1)}}, jnp.ones(2))
    >>> updates = Update(jnp.array([[3.0], [1.0]]), {}, jnp.ones(2), {}, ())
    >>> after, _ = algorithm.apply(state, algorithm.reduce(state, updates))
    >>> after.params["w"].tolist()
    [2.0]
    """
    shared = sharing.sent_params(state.params)
    vector, unravel = ravel_pytree(shared)
    _, optimizer = cast(tuple, state.opt_state)
    step, optimizer = server.optimizer.update(cohort.direction, optimizer, vector)
    moved: Any = optax.apply_updates(shared, unravel(cast(Array, step)))
    stepped = state._replace(
        params=combine(moved, state.params),
        model_state=combine(cohort.model_state, state.model_state),
        opt_state=(cohort.links, optimizer),
        extra=cohort.extra,
    )
    defined = cohort.some_present & finite(moved)
    after = jax.tree.map(lambda new, old: jnp.where(defined, new, old), stepped, state)
    skipped = (~defined).astype(jnp.float32)
    return after._replace(round=state.round + 1), {**cohort.info, "skipped": skipped}
