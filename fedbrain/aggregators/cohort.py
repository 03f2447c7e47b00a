"""What a rule sees: the updates of a cohort as one matrix, who is present, and what they reported.

A link of a server chain is `update(updates, state, params, *, weights, ...) -> (updates or
direction, state)`. Its author writes a function of a `Cohort`; three constructors make it a link
for any pytree:

    linear(coefficients)     direction = sum_i a_i x_i, with a = coefficients(cohort)
    reducing(rule, init)     (direction, state) = rule(cohort, state)
    keeping(link, init)      (cohort, state) = link(cohort, state): the clients axis stays

A rule that is not defined for the clients present (Krum needs 2f + 3) returns NaN; the server then
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
from fedbrain.aggregators.matrix import Layers, as_matrix, layers_of
from fedbrain.types import PLACE, Aggregator, Key, PyTree


class Cohort(NamedTuple):
    """The updates of a round. An absent client (weight 0) holds garbage, which must not be read."""

    updates: Float[Array, "clients p"]  # pseudo-gradients: minus the deltas
    weights: Float[Array, " clients"]  # training examples; 0 = absent
    # [clients] each: sums over the local steps (`loss`, `count`), `steps`, ...
    metrics: Mapping[str, Array] = {}
    # uploads besides the delta, for instance Fisher information; None for most algorithms
    extra: Float[Array, "clients q"] | None = None
    layers: Layers = Layers()  # of the columns of `updates`

    @property
    def present(self) -> Bool[Array, " clients"]:
        """Who takes part."""
        return self.weights > 0

    @property
    def one_each(self) -> Float[Array, " clients"]:
        """1 / n for each of the n present: robust rules use it, because a size can be a lie."""
        return normalised(self.present.astype(jnp.result_type(float)))

    @property
    def by_examples(self) -> Float[Array, " clients"]:
        """p_i = n_i / sum n over those present."""
        return normalised(self.weights.astype(jnp.result_type(float)))

    @property
    def places(self) -> Int[Array, " clients"]:
        """Where each client stands among all of the federation: rules remember by it. Without a
        report everybody is a row, in that order.
        """
        rows = jnp.arange(self.weights.shape[0])
        return jnp.asarray(self.metrics.get(PLACE, rows), jnp.int32)

    @property
    def last_of_each(self) -> Bool[Array, " clients"]:
        """Whose memory is written: of a client that is there twice, as from a buffer, the later
        row.
        """
        rows = jnp.arange(self.weights.shape[0])
        same = self.places[:, None] == self.places[None, :]
        later = same & self.present[None, :] & (rows[None, :] > rows[:, None])
        return self.present & ~later.any(axis=1)

    def metric(self, name: str) -> Float[Array, " clients"]:
        """A reported quantity, 1 where absent."""
        if name not in self.metrics:
            raise ValueError(
                f"Expected clients to report {name!r}, got {sorted(self.metrics)}: see"
                " docs/aggregation.md."
            )
        return jnp.where(self.present, self.metrics[name], 1).astype(jnp.result_type(float))


class Kept(NamedTuple):
    """What a keeping link returns, because it may change more than the updates; see `chain`."""

    updates: PyTree
    changed: Mapping[str, Any]  # arguments of the links that follow: weights, metrics, extra


Rule = Callable[[Cohort, PyTree], tuple[Float[Array, " p"], PyTree]]
Link = Callable[[Cohort, PyTree], tuple[Cohort, PyTree]]


def in_float64(f: Callable) -> Callable:
    """Lets a function use float64 inside a float32 program. `vmap` maps it one after the other.

    >>> in_float64(lambda x: x.astype(jnp.float64) / 3)(jnp.ones(())).dtype
    dtype('float64')
    """

    def inside(*args):
        with jax.enable_x64(True):
            return f(*args)

    return sequential_vmap(inside)


def round_key(seed: int, round: Int[Array, ""]) -> Key:
    """The key of a random rule in a round, so that no key is carried or checkpointed.

    >>> first, second = (round_key(0, jnp.asarray(k)) for k in (0, 1))
    >>> bool(first == second)
    False
    """
    with jax.enable_x64(False):  # keys are 32-bit, also inside `in_float64`
        return jax.random.fold_in(jax.random.key(seed), round)


def normalised(weights: Float[Array, " clients"]) -> Float[Array, " clients"]:
    """weights / sum of weights; all zero when nobody is present.

    >>> normalised(jnp.array([1.0, 3.0, 0.0])).tolist()
    [0.25, 0.75, 0.0]
    """
    return weights / jnp.maximum(weights.sum(), jnp.finfo(weights.dtype).tiny)


def nothing(params: PyTree) -> optax.EmptyState:
    """The memory of a rule without one.

    >>> nothing(jnp.zeros(3))
    EmptyState()
    """
    del params
    return optax.EmptyState()


def _read(updates: PyTree, arguments: Mapping[str, Any]) -> tuple[Cohort, Callable]:
    """The cohort that an update's arguments describe, and the way back from [..., p] to a tree."""
    matrix, back = as_matrix(updates)
    uploads = arguments.get("extra")
    extra = as_matrix(uploads)[0] if jax.tree.leaves(uploads) else None
    one = jax.eval_shape(lambda tree: jax.tree.map(lambda x: x[0], tree), updates)
    layers = arguments.get("layers") or layers_of(one)
    metrics = dict(arguments.get("metrics", {}))
    return Cohort(matrix, arguments["weights"], metrics, extra, layers), back


def reducing(rule: Rule, init: Callable[[Any], Any] = nothing) -> Aggregator:
    """A link that removes the clients axis.

    >>> first = reducing(lambda cohort, state: (cohort.updates[0], state))
    >>> x = jnp.array([[1.0, 2.0], [3.0, 4.0]])
    >>> first.update(x, first.init(x[0]), weights=jnp.ones(2))[0].tolist()
    [1.0, 2.0]

    Args:
      rule: (cohort, state) -> (direction [p], state), in float64 where it asks for it.
      init: params -> state.
    """

    @in_float64
    def reduce(cohort: Cohort, state: PyTree):
        direction, state = rule(cohort, state)
        return direction.astype(cohort.updates.dtype), state

    def update(updates, state, params=None, **arguments):
        del params  # the rules know only updates
        cohort, back = _read(updates, arguments)
        direction, state = reduce(cohort, state)
        return back(direction), state

    return optax.GradientTransformationExtraArgs(cast(Any, init), update)


def linear(coefficients: Callable[[Cohort], Float[Array, " clients"]]) -> Aggregator:
    """A reducing link that is a linear combination of the updates.

    >>> mean = linear(lambda cohort: cohort.one_each)
    >>> x = jnp.array([[1.0, 2.0], [3.0, 4.0]])
    >>> mean.update(x, mean.init(x[0]), weights=jnp.ones(2))[0].tolist()
    [2.0, 3.0]
    """

    def rule(cohort: Cohort, state: PyTree) -> tuple[Array, PyTree]:
        a = jnp.asarray(coefficients(cohort), jnp.result_type(float))
        return combine(cohort.updates, a), state

    return reducing(rule)


def keeping(link: Link, init: Callable[[Any], Any] = nothing) -> Aggregator:
    """A link that keeps the clients axis, and may change everything that a cohort holds.

    >>> halve = keeping(lambda cohort, state: (cohort._replace(updates=cohort.updates / 2), state))
    >>> x = jnp.array([[1.0, 2.0], [3.0, 4.0]])
    >>> halve.update(x, halve.init(x[0]), weights=jnp.ones(2))[0].updates.tolist()
    [[0.5, 1.0], [1.5, 2.0]]
    """

    @in_float64
    def keep(cohort: Cohort, state: PyTree):
        new, state = link(cohort, state)
        updates = new.updates.astype(cohort.updates.dtype)
        weights = new.weights.astype(cohort.weights.dtype)
        return new._replace(updates=updates, weights=weights), state

    def update(updates, state, params=None, **arguments):
        del params  # as in `reducing`
        cohort, back = _read(updates, arguments)
        new, state = keep(cohort, state)
        changed = {"weights": new.weights, "metrics": new.metrics, "extra": new.extra}
        return Kept(back(new.updates), changed), state

    return optax.GradientTransformationExtraArgs(cast(Any, init), update)


def chain(*links: Aggregator) -> Aggregator:
    """Links one after the other, as `optax.chain`, where a keeping link may change the cohort.

    >>> halve = keeping(lambda cohort, state: (cohort._replace(updates=cohort.updates / 2), state))
    >>> both = chain(halve, linear(lambda cohort: cohort.one_each))
    >>> x = jnp.array([[1.0, 2.0], [3.0, 4.0]])
    >>> both.update(x, both.init(x[0]), weights=jnp.ones(2))[0].tolist()
    [1.0, 1.5]
    """

    def init(params):
        return tuple(link.init(params) for link in links)

    def update(updates, state, params=None, **arguments):
        states = []
        for link, memory in zip(links, state):
            updates, memory = link.update(updates, memory, params, **arguments)
            states.append(memory)
            if isinstance(updates, Kept):
                arguments = arguments | dict(updates.changed)
                updates = updates.updates
        return updates, tuple(states)

    return optax.GradientTransformationExtraArgs(cast(Any, init), update)
