"""Messages from the server to a site: a model to validate or to test, and the order to train.

A site runs the same driver as a simulation, over a cohort of one, so that a round over a network
has the bits of a simulated one under the `loop` driver.
"""

import jax
import jax.numpy as jnp
import numpy as np

from fedbrain.deploy.protocol.terms import Terms, question_collections
from fedbrain.deploy.protocol.wire import (
    Envelope,
    Message,
    Refused,
    flatten,
    pack,
    schema,
    unflatten,
)
from fedbrain.types import ServerState


def write_model(
    terms: Terms, state: ServerState, *, nonce: str, best_round: int, kind: str = "model"
) -> bytes:
    """Writes the model of a round, and what the algorithm tells its clients.

    Args:
      terms: of the experiment.
      state: after the round.
      nonce: random text that the answer must repeat.
      best_round: so far, so that a site keeps its private state of that round; -1 for none.
      kind: "model": to be validated; "report": to be tested, the last message of a run.
    """
    return pack(
        _from_server(kind, terms, state, nonce, {"best_round": float(best_round)}),
        flatten(question_collections(state)),
    )


def write_training_order(terms: Terms, state: ServerState, *, nonce: str) -> bytes:
    """Writes the order to train on the model that was sent for validation.

    Args:
      terms: of the experiment.
      state: of the round; only its number and the learning rate's scale are sent.
      nonce: random text that the answer must repeat.
    """
    scalars = {"learning_rate_scale": float(state.learning_rate_scale)}
    return pack(_from_server("train", terms, state, nonce, scalars), {})


def _from_server(
    kind: str, terms: Terms, state: ServerState, nonce: str, scalars: dict[str, float]
) -> Envelope:
    return Envelope(
        kind, "server", int(state.round), nonce, terms.config, schema(terms.question), scalars
    )


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
    for field, expected in (
        ("kind", kind),
        ("config", terms.config),
        ("schema", schema(terms.question)),
    ):
        if getattr(envelope, field) != expected:
            raise Refused(f"{field}: expected {expected!r}, got {getattr(envelope, field)!r}")
    if set(envelope.scalars) != set(scalars):
        raise Refused(f"expected the scalars {sorted(scalars)}, got {sorted(envelope.scalars)}")


def read_model(terms: Terms, message: Message) -> ServerState:
    """Reads the model that a site validates and trains on.

    Args:
      terms: of the experiment.
      message: from the server.

    Raises:
      Refused: see `require_terms`; and for numbers that are not finite.
    """
    require_terms(terms, message.envelope, message.envelope.kind, ("best_round",))
    for name, vector in message.vectors.items():
        if not np.isfinite(vector).all():
            raise Refused(f"{name}: expected finite numbers of the server, got others")
    trees = jax.tree.map(jnp.asarray, unflatten(message.vectors, terms.question))
    return ServerState(
        round=jnp.asarray(message.envelope.round, jnp.int32),
        params=trees["params"],
        model_state=trees["model_state"],
        opt_state=(),  # the server's own
        learning_rate_scale=jnp.ones((), jnp.float32),
        extra=trees["extra"],
    )
