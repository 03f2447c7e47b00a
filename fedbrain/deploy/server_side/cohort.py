"""A round's answers at the server: one matrix, from which the new model is made.

The matrix is the largest thing that the server has. It exists once, and it is let go before the new
model is made.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fedbrain.deploy.protocol.terms import Terms
from fedbrain.deploy.protocol.wire import Message, unflatten
from fedbrain.deploy.server_side.large_arrays import IN_MEMORY, Arrays
from fedbrain.types import PLACE, Algorithm, Metrics, Reduced, ServerState, Update


def read_answers(
    terms: Terms, messages: dict[str, Message], arrays: Arrays = IN_MEMORY
) -> tuple[list[np.ndarray], Update]:
    """Answers that passed `require_answer`, as one matrix of pseudo-gradients and the rest of the
    update.

    Args:
      terms: of the experiment.
      messages: taken out one after the other, so that a cohort is there once and not twice.
      arrays: where the matrix lies.

    Returns:
      Pseudo-gradients [sites, coordinates], the sites in the order of their names, in a list from
      which whoever uses them takes them; and updates whose deltas have no coordinates.
    """
    names, rows = sorted(messages), len(messages)
    outline = {name: part for name, part in terms.answer.items() if name != "delta"}
    leaves, structure = jax.tree.flatten(outline)
    coordinates = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(terms.answer["delta"]))
    gradients, stacked = (
        arrays.empty(rows, coordinates),
        [np.empty((rows, *leaf.shape), leaf.dtype) for leaf in leaves],
    )
    scalars = {name: np.zeros(rows, np.float32) for name in ("weight", *terms.metrics)}
    for row, name in enumerate(names):
        envelope, vectors = messages.pop(name)
        np.negative(vectors.pop("delta"), out=gradients[row])
        for array, value in zip(stacked, jax.tree.leaves(unflatten(vectors, outline))):
            array[row] = value
        for scalar, array in scalars.items():
            array[row] = envelope.scalars[scalar]
    rest = jax.tree.unflatten(structure, [jnp.asarray(stacked.pop(0)) for _ in leaves])
    weight, *metrics = (jnp.asarray(array) for array in scalars.values())
    update = Update(
        delta=jnp.zeros((rows, 0), jnp.float32),
        model_state=rest["model_state"],
        weight=weight,
        metrics=dict(zip(terms.metrics, metrics)),
        extra=rest["extra"],
    )
    return [gradients], update


@partial(jax.jit, static_argnums=0)
def reduce_rows(
    algorithm: Algorithm,
    state: ServerState,
    pseudo_gradients: Float[Array, "sites p"],
    rest: Update,
) -> Reduced:
    """`algorithm.reduce` of what `read_answers` returned, without a second matrix in memory;
    compiled once for an algorithm.

    XLA cancels the sign here against the one in `reduce`. Rows of deltas would have only the
    latter, whose result is as large as the cohort.
    """
    return algorithm.reduce(state, rest._replace(delta=-pseudo_gradients))


def make_aggregate(
    algorithm: Algorithm, trusted: Sequence[str] = (), sites: Sequence[str] = ()
) -> Callable[[ServerState, list[np.ndarray], Update, Sequence[str]], tuple[ServerState, Metrics]]:
    """The server's side of a round, compiled.

    Args:
      algorithm: of the experiment.
      trusted: names of sites that are the server's own, for rules that need one (`fltrust`).
      sites: names of all, for rules that remember each; empty: those of the round are all.

    Returns:
      `aggregate(state, cohort, update, names)` -> (state, metrics): what `read_answers` returned,
      and the names in the order of its rows. The cohort is let go before the new model is made.
    """
    apply = jax.jit(algorithm.apply)

    def aggregate(
        state: ServerState, cohort: list[np.ndarray], update: Update, names: Sequence[str]
    ):
        marks = jnp.asarray([name in trusted for name in names], jnp.float32)
        told = {**update.metrics, "trusted": marks}
        everybody = sorted(sites or names)
        if set(names) <= set(everybody):  # not so for a sum under masks, which is of no single site
            told[PLACE] = jnp.asarray([everybody.index(name) for name in names], jnp.int32)
        rest = update._replace(metrics=told)
        reduced = reduce_rows(algorithm, state, cohort.pop(), rest)
        return apply(state, jax.block_until_ready(reduced))

    return aggregate
