"""What the arrays of all messages of a run look like: derived by the server and by every site from
the configuration, each for itself.
"""

from typing import NamedTuple

import jax

from fedbrain.training.outline import outline
from fedbrain.types import Algorithm, Batch, PyTree, ServerState, Update, Variables


class Terms(NamedTuple):
    """What server and sites derive from the configuration, each for itself."""

    algorithm: Algorithm  # client and server maths
    config: str  # hash of the experiment
    question: dict[str, PyTree]  # collection -> outlines of the arrays that the server sends
    answer: dict[str, PyTree]  # collection -> outlines of the arrays that a site sends
    metrics: tuple[str, ...]  # names of the scalars of an update beside the weight


def make_terms(
    algorithm: Algorithm, variables: Variables, example: Batch, *, sites: int, config: str
) -> Terms:
    """Derives the outlines; nothing is computed.

    Args:
      algorithm: of the experiment.
      variables: arrays or outlines.
      example: any batch of the right shapes.
      sites: of the consortium.
      config: hash of the experiment.
    """
    server, _, update = outline(algorithm, variables, example, clients=sites)
    shared = jax.eval_shape(algorithm.shared, dict(variables))["params"]  # names the delta's leaves
    answer = {**answer_collections(update), "delta": shared}
    return Terms(
        algorithm, config, question_collections(server), answer, tuple(sorted(update.metrics))
    )


def question_collections(state: ServerState) -> dict[str, PyTree]:
    """The collections of a server state that are sent. The server's optimiser stays."""
    return {"params": state.params, "model_state": state.model_state, "extra": state.extra}


def answer_collections(update: Update) -> dict[str, PyTree]:
    """The collections of an update that are sent."""
    return {"delta": update.delta, "model_state": update.model_state, "extra": update.extra}
