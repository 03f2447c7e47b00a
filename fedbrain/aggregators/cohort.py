"""What a rule sees: the updates of a cohort as one matrix, who is present, and what they reported.

A link of a server chain is `update(updates, state, params, *, weights, ...) -> (updates or
direction, state)`. Its author writes a function of a `Cohort`; the three constructors here make it
a link for any pytree:

    linear(coefficients)      direction = sum_i alpha_i x_i        coefficients(cohort) -> alpha
    [clients] reducing(rule, init)      direction = rule(cohort, state)[0]   anything, with a memory
    keeping(link, init)       the clients axis stays               link(cohort, state) -> (cohort,
    state)

A rule that is not defined for the clients present (Krum needs 2f + 3) says NaN; the server then
keeps its model and records a skipped round.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import optax
from jax.custom_batching import sequential_vmap
from jaxtyping import Array, Bool, Float, Int

from fedbrain.aggregators.linear_algebra import combine
from fedbrain.types import Aggregator, Key, PyTree


class Cohort(NamedTuple):
    """The updates of a round. What an absent client (weight 0) holds is garbage and must not be
    read.
    """

    updates: Float[Array, "clients p"]  # pseudo-gradients: minus the deltas
    weights: Float[Array, " clients"]  # training examples; 0 = absent
    metrics: Mapping[
        str, Array
    ]  # [clients] each: sums over the local steps (`loss`, `count`), `steps`, ...

    @property
    def present(self) -> Bool[Array, " clients"]:
        """Who takes part."""
        return self.weights > 0

    @property
    def one_each(self) -> Float[Array, " clients"]:
        """Equal weights of those present, summing to 1: what robust rules use, because a size can
        be a lie.
        """
        return normalised(self.present.astype(jnp.result_type(float)))

    @property
    def by_examples(self) -> Float[Array, " clients"]:
        """p_i = n_i / sum n over those present."""
        return normalised(self.weights.astype(jnp.result_type(float)))

    def metric(self, name: str) -> Float[Array, " clients"]:
        """A reported quantity, 1 where absent."""
        if name not in self.metrics:
            raise ValueError(
                f"Expected clients to report {name!r}, got {sorted(self.metrics)}: see"
                " docs/aggregation.md."
            )
        return jnp.where(self.present, self.metrics[name], 1).astype(jnp.result_type(float))


class Kept(NamedTuple):
    """What a keeping link returns when more than the updates changed; `chain` unpacks it."""

    updates: PyTree
    changed: Mapping[str, Any]  # extra arguments for the links that follow: weights, metrics


def in_float64(f: Callable) -> Callable:
    """Lets a function use float64 inside a float32 program. Under `vmap` it is mapped one after the
    other.
    """

    def inside(*args):
        with jax.enable_x64(True):
            return f(*args)

    return sequential_vmap(inside)


def round_key(seed: int, round: Int[Array, ""]) -> Key:
    """The key of a random rule in a round: nothing to carry, nothing to checkpoint."""
    with jax.enable_x64(False):  # keys are 32-bit, also inside `in_float64`
        return jax.random.fold_in(jax.random.key(seed), round)


Rule = Callable[[Cohort, PyTree], tuple[Float[Array, " p"], PyTree]]


def normalised(weights: Float[Array, " clients"]) -> Float[Array, " clients"]:
    """weights / sum of weights; all zero when nobody is present."""
    return weights / jnp.maximum(weights.sum(), jnp.finfo(weights.dtype).tiny)


def nothing(params: PyTree) -> optax.EmptyState:
    """The memory of a rule without one."""
    del params
    return optax.EmptyState()


def as_matrix(tree: PyTree) -> tuple[Float[Array, "clients p"], Callable[[Array], PyTree]]:
    """A tree whose leaves lead with `clients`, as one matrix, and the way back from [..., p] to a
    tree.
    """
    leaves, outline = jax.tree.flatten(tree)
    if len(leaves) == 1 and leaves[0].ndim == 2:
        return leaves[0], lambda x: jax.tree.unflatten(outline, [x])
    shapes = [x.shape[1:] for x in leaves]
    flat = [x.reshape(x.shape[0], -1) for x in leaves]
    ends = [0]
    for x in flat:
        ends.append(ends[-1] + x.shape[1])

    def back(x: Array) -> PyTree:
        parts = [x[..., a:b].reshape(x.shape[:-1] + s) for a, b, s in zip(ends, ends[1:], shapes)]
        return jax.tree.unflatten(outline, parts)

    return jnp.concatenate(flat, axis=1), back


def as_vector(params: PyTree) -> Float[Array, " p"]:
    """A tree without clients axis, as one vector: for the memory of a rule."""
    return as_matrix(jax.tree.map(lambda x: x[None], params))[0][0]


def reducing(rule: Rule, init: Callable[[Any], Any] = nothing) -> Aggregator:
    """A link that removes the clients axis."""

    @in_float64
    def reduce(cohort: Cohort, state: PyTree):
        direction, state = rule(cohort, state)
        return direction.astype(cohort.updates.dtype), state

    def update(updates, state, params=None, **extra):
        del params  # the rules know only updates
        matrix, back = as_matrix(updates)
        direction, state = reduce(
            Cohort(matrix, extra["weights"], dict(extra.get("metrics", {}))), state
        )
        return back(direction), state

    return optax.GradientTransformationExtraArgs(cast(Any, init), update)


def linear(coefficients: Callable[[Cohort], Float[Array, " clients"]]) -> Aggregator:
    """A reducing link that is a linear combination of the updates."""

    def rule(cohort: Cohort, state: PyTree) -> tuple[Array, PyTree]:
        return (
            combine(cohort.updates, jnp.asarray(coefficients(cohort), jnp.result_type(float))),
            state,
        )

    return reducing(rule)


def keeping(
    link: Callable[[Cohort, PyTree], tuple[Cohort, PyTree]], init: Callable[[Any], Any] = nothing
) -> Aggregator:
    """A link that keeps the clients axis, and may change updates, weights and metrics."""

    @in_float64
    def keep(cohort: Cohort, state: PyTree):
        kept, state = link(cohort, state)
        weights = kept.weights.astype(cohort.weights.dtype)
        return (
            kept._replace(updates=kept.updates.astype(cohort.updates.dtype), weights=weights),
            state,
        )

    def update(updates, state, params=None, **extra):
        del params
        matrix, back = as_matrix(updates)
        kept, state = keep(Cohort(matrix, extra["weights"], dict(extra.get("metrics", {}))), state)
        return Kept(back(kept.updates), {"weights": kept.weights, "metrics": kept.metrics}), state

    return optax.GradientTransformationExtraArgs(cast(Any, init), update)


def chain(*links: Aggregator) -> Aggregator:
    """Links after each other, as `optax.chain`, where a keeping link may also change weights and
    metrics.
    """

    def init(params):
        return tuple(link.init(params) for link in links)

    def update(updates, state, params=None, **extra):
        states = []
        for link, memory in zip(links, state):
            updates, memory = link.update(updates, memory, params, **extra)
            states.append(memory)
            if isinstance(updates, Kept):
                updates, extra = updates.updates, extra | dict(updates.changed)
        return updates, tuple(states)

    return optax.GradientTransformationExtraArgs(cast(Any, init), update)
