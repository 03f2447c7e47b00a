"""Messages from the server to a site: a model to validate or to test, and the order to train.

The first model is sent whole; later ones bring what trains and is shared, and a site takes the
rest from the first. A site runs the same driver as a simulation, over a cohort of one, so that a
round over a network has the bits of a simulated one under the `loop` driver.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np

from fedbrain.algorithms.leaves import combine
from fedbrain.deploy.protocol.beside import QUESTIONS
from fedbrain.deploy.protocol.masked import KEY, KEYS
from fedbrain.deploy.protocol.terms import Terms, moving_collections, start_collections
from fedbrain.deploy.protocol.wire import (
    Envelope,
    Message,
    Refused,
    flatten,
    pack,
    schema,
    unflatten,
)
from fedbrain.types import PyTree, ServerState

ORDERS = ("train", "alone", KEY, *QUESTIONS)  # questions without a model


def write_model(
    terms: Terms,
    state: ServerState,
    *,
    nonce: str,
    best_round: int,
    kind: str = "model",
    best_loss: float = 1.0,
) -> bytes:
    """Writes the model of a round, and what the algorithm tells its clients.

    Args:
      terms: of the experiment.
      state: after the round.
      nonce: random text that the answer must repeat.
      best_round: so far, so that a site keeps its private state of that round; -1 for none.
      kind: "model": to be validated; "report": to be tested, the last message of a run.
      best_loss: of a report: the model's pooled validation loss, where inner splits are weighed by
        it; 1 where there is one.
    """
    later = int(state.round) > 0
    trees = moving_collections(terms.algorithm, state) if later else start_collections(state)
    scalars = {"best_round": float(best_round)}
    scalars |= {"best_loss": best_loss} if kind == "report" else {}
    outline = terms.sent(int(state.round))
    return pack(_from_server(kind, terms, state, nonce, scalars, outline), flatten(trees))


def write_training_order(
    terms: Terms, state: ServerState, *, nonce: str, keys: bytes = b""
) -> bytes:
    """Writes the order to train on the model that was sent for validation.

    Args:
      terms: of the experiment.
      state: of the round; only its number and the learning rate's scale are sent.
      nonce: random text that the answer must repeat.
      keys: of all sites, for secure aggregation.
    """
    scalars = {"learning_rate_scale": float(state.learning_rate_scale)}
    vectors = {KEYS: np.frombuffer(keys, np.uint8)} if keys else {}
    return pack(_from_server("train", terms, state, nonce, scalars, terms.question), vectors)


def write_lone_training(terms: Terms, state: ServerState, *, nonce: str) -> bytes:
    """Writes the order to train alone from the first model, and to test what comes of it.

    Args:
      terms: of the experiment.
      state: before the first round.
      nonce: random text that the answer must repeat.
    """
    return pack(_from_server("alone", terms, state, nonce, {}, terms.question), {})


def _from_server(
    kind: str,
    terms: Terms,
    state: ServerState,
    nonce: str,
    scalars: dict[str, float],
    outline: dict[str, PyTree],
) -> Envelope:
    round = int(state.round)
    return Envelope(kind, "server", round, nonce, terms.config, schema(outline), scalars)


def require_terms(
    terms: Terms, envelope: Envelope, kind: str, scalars: tuple[str, ...] = ()
) -> None:
    """Checks at a site that a message belongs to the site's experiment.

    Args:
      terms: of the experiment.
      envelope: of the message.
      kind: that is expected.
      scalars: names that are expected.

    Raises:
      Refused: when the server runs another experiment, or a network of other shapes.
    """
    outline = terms.question if kind in ORDERS else terms.sent(envelope.round)
    for field, expected in (
        ("kind", kind),
        ("config", terms.config),
        ("schema", schema(outline)),
    ):
        if getattr(envelope, field) != expected:
            raise Refused(f"{field}: expected {expected!r}, got {getattr(envelope, field)!r}")
    if set(envelope.scalars) != set(scalars):
        raise Refused(f"expected the scalars {sorted(scalars)}, got {sorted(envelope.scalars)}")


def read_model(terms: Terms, message: Message, first: ServerState | None = None) -> ServerState:
    """Reads the model that a site validates and trains on.

    Args:
      terms: of the experiment.
      message: from the server.
      first: the model of round 0, which has what does not move; None before it came.

    Raises:
      Refused: see `require_terms`; for numbers that are not finite; for a later model before the
        first one.
    """
    kind = message.envelope.kind
    scalars = ("best_round", "best_loss") if kind == "report" else ("best_round",)
    require_terms(terms, message.envelope, kind, scalars)
    if not 0 <= message.envelope.scalars.get("best_loss", 0.0) < math.inf:
        raise Refused("best_loss: expected a finite number from 0 on, got another")
    for name, vector in message.vectors.items():
        if not np.isfinite(vector).all():
            raise Refused(f"{name}: expected finite numbers of the server, got others")
    round = message.envelope.round
    trees = jax.tree.map(jnp.asarray, unflatten(message.vectors, terms.sent(round)))
    if round:
        first = _required(first, round)
        for name in ("params", "model_state"):
            trees[name] = combine(trees[name], getattr(first, name))
    return ServerState(
        round=jnp.asarray(round, jnp.int32),
        params=trees["params"],
        model_state=trees["model_state"],
        opt_state=(),  # the server's own
        learning_rate_scale=jnp.ones((), jnp.float32),
        extra=trees["extra"],
    )


def _required(first: ServerState | None, round: int) -> ServerState:
    if first is None:
        raise Refused(
            f"expected the model of round 0, which follows from the job, got that of round {round}:"
            " this site has not seen where it comes from"
        )
    return first


def require_no_vectors(message: Message) -> Envelope:
    """The envelope of an order.

    Args:
      message: an order to train.

    Raises:
      Refused: for an order with numbers that nothing would read.
    """
    if message.vectors:
        raise Refused(f"expected an order without numbers, got {sorted(message.vectors)}")
    return message.envelope
