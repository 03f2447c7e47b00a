"""What the arrays of all messages of a run look like: derived by the server and by every site from
the configuration, each for itself.
"""

from functools import partial
from typing import NamedTuple

import jax

from fedbrain.algorithms.sharing import split
from fedbrain.training.outline import outline
from fedbrain.types import Algorithm, Batch, PyTree, ServerState, Update, Variables


class Terms(NamedTuple):
    """What server and sites derive from the configuration, each for itself."""

    algorithm: Algorithm  # client and server maths
    config: str  # hash of the experiment
    start: dict[str, PyTree]  # collection -> outlines of the first model's arrays: all there are
    question: dict[str, PyTree]  # likewise, of later models: what trains and is shared
    answer: dict[str, PyTree]  # collection -> outlines of the arrays that a site sends
    metrics: tuple[str, ...]  # names of the scalars of an update beside the weight

    def sent(self, round: int) -> dict[str, PyTree]:
        """Collection -> outlines of the arrays of a round's model.

        Args:
          round: completed ones.
        """
        return self.question if round else self.start


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
    start = start_collections(server)
    question = jax.eval_shape(partial(moving_collections, algorithm), server)
    answer = {**answer_collections(update), "delta": question["params"]}
    return Terms(algorithm, config, start, question, answer, tuple(sorted(update.metrics)))


def start_collections(state: ServerState) -> dict[str, PyTree]:
    """The collections of the first model, which is sent whole. The server's optimiser stays."""
    return {"params": state.params, "model_state": state.model_state, "extra": state.extra}


def moving_collections(algorithm: Algorithm, state: ServerState) -> dict[str, PyTree]:
    """The same of a later model: what trains and is shared, with None for all other leaves."""
    params, model_state = split(algorithm.shared(variables_of(state)))
    return {"params": params, "model_state": model_state, "extra": state.extra}


def variables_of(state: ServerState) -> Variables:
    """A server state's model."""
    return {"params": state.params, **state.model_state}


def answer_collections(update: Update) -> dict[str, PyTree]:
    """The collections of an update that are sent."""
    return {"delta": update.delta, "model_state": update.model_state, "extra": update.extra}
