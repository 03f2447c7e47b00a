"""Messages of secure aggregation: a key for an attempt, the keys of all in the order to train, and
an answer of masked whole numbers in place of an update.
"""

from collections.abc import Mapping

import jax
import numpy as np

from fedbrain.deploy.protocol.terms import Terms
from fedbrain.deploy.protocol.wire import Envelope, Refused, pack, schema
from fedbrain.types import ServerState

KEY, KEYS, MASKED = "key", "keys", "masked"  # kind of question and answer; vectors
RULE = "masked_mean"


def is_masked(aggregator: str) -> bool:
    """Whether a job's rule is the one that secure aggregation computes.

    Args:
      aggregator: call of a configuration.
    """
    return str(aggregator).split("(")[0].strip() == RULE


def occasion_of(envelope: Envelope) -> str:
    """The experiment and the round that a key is for.

    Args:
      envelope: of the question.
    """
    return f"{envelope.config} {envelope.round}"


def write_key_question(terms: Terms, state: ServerState, *, nonce: str) -> bytes:
    """Writes the question for a key.

    Args:
      terms: of the experiment.
      state: of the round.
      nonce: random text that the answer must repeat.
    """
    round, outline = int(state.round), schema(terms.question)
    return pack(Envelope(KEY, "server", round, nonce, terms.config, outline, {}), {})


def write_masked(
    terms: Terms, asked: Envelope, sender: str, vectors: Mapping[str, np.ndarray]
) -> bytes:
    """Writes a site's masked numbers. No number of it is told otherwise.

    Args:
      terms: of the experiment.
      asked: envelope of the order to train.
      sender: the site's name.
      vectors: the masked numbers.
    """
    envelope = Envelope(MASKED, sender, asked.round, asked.nonce, terms.config, schema({}), {})
    return pack(envelope, vectors)


def numbers_of_masked(terms: Terms) -> int:
    """How many numbers a masked answer has.

    Args:
      terms: of the experiment.
    """
    return (
        sum(leaf.size for leaf in jax.tree.leaves(terms.answer["delta"])) + 1 + len(terms.metrics)
    )


def require_maskable(terms: Terms, aggregator: str) -> None:
    """Raises Refused when a run sends what is not added up under masks.

    Args:
      terms: of the experiment.
      aggregator: call of the configuration.
    """
    beside = [name for name in ("model_state", "extra") if jax.tree.leaves(terms.answer[name])]
    if is_masked(aggregator) and beside:
        raise Refused(
            f"config.server.aggregator: expected an experiment that sends nothing beside the"
            f" weights under {RULE}(), got {beside[0]}: take norm='group', train the head alone, or"
            " config.server.statistics='local()'"
        )
