"""A round between hospitals over any transport that carries bytes: ask, train, answer, aggregate.

The pieces are those of `fedbrain.training.round`: a site runs the same driver over a cohort of one,
the server the same `reduce` and `apply` over what came, in the order of names. So a round over a
network has the bits of a simulated one under the `loop` driver.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fedbrain.deploy.protocol.wire import (
    Envelope,
    Message,
    Refused,
    flatten,
    pack,
    schema,
    unflatten,
)
from fedbrain.training.outline import outline
from fedbrain.types import Algorithm, Batch, PyTree, ServerState, Update, Variables


class Terms(NamedTuple):
    """What server and sites derive from the configuration, each for itself."""

    algorithm: Algorithm
    config: str  # hash of the experiment
    question: dict[str, PyTree]  # outlines of what the server sends ...
    answer: dict[str, PyTree]  # ... and of what a site sends
    metrics: tuple[str, ...]  # names of the scalars beside the weight


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
    answer = {**_answer(update), "delta": shared}
    return Terms(algorithm, config, _question(server), answer, tuple(sorted(update.metrics)))


def _question(state: Any) -> dict[str, PyTree]:
    return {"params": state.params, "model_state": state.model_state, "extra": state.extra}


def _answer(update: Update) -> dict[str, PyTree]:
    return {"delta": update.delta, "model_state": update.model_state, "extra": update.extra}


def send_model(
    terms: Terms, state: ServerState, *, nonce: str, best_round: int, kind: str = "model"
) -> bytes:
    """The model of a round and what the algorithm tells its clients. The server's optimiser stays.

    Args:
      best_round: so far, so that a site keeps what is its own of that round; -1 for none.
      kind: "model": to be validated; "report": to be tested, the last message of a run.
    """
    return pack(
        _from_server(kind, terms, state, nonce, {"best_round": float(best_round)}),
        flatten(_question(state)),
    )


def order_training(terms: Terms, state: ServerState, *, nonce: str) -> bytes:
    """Go: the model has been sent, its validation has told how fast to go on."""
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
    """Raises Refused when the server runs another experiment, or a network of other shapes."""
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
    """What a site validates and trains.

    Raises:
      Refused: see `require_terms`; and for numbers that are not finite.
    """
    require_terms(terms, message.envelope, message.envelope.kind, ("best_round",))
    for name, vector in message.vectors.items():
        if not np.isfinite(vector).all():
            raise Refused(f"{name}: expected finite numbers of the server, got others")
    trees = jax.tree.map(jnp.asarray, unflatten(message.vectors, terms.question))
    number, one = jnp.asarray(message.envelope.round, jnp.int32), jnp.ones((), jnp.float32)
    return ServerState(number, trees["params"], trees["model_state"], (), one, trees["extra"])


def validated(terms: Terms, asked: Envelope, sender: str, *, loss: float, count: int) -> bytes:
    """A site's sum of validation losses, and of how many scans."""
    scalars = {"loss": loss, "count": float(count)}
    return pack(
        Envelope("validated", sender, asked.round, asked.nonce, terms.config, schema({}), scalars),
        {},
    )


TOLD = ("n", "subjects", "mae", "mae_low", "mae_high", "rmse", "r2", "floor_mae")  # of test scans
DEFINED = ("r", "p")  # where predictions differ from each other


def reported(terms: Terms, asked: Envelope, sender: str, accuracy: Mapping[str, Any]) -> bytes:
    """What a site tells of its test scans: no more than a published table does.

    Args:
      accuracy: see `report.statistics.accuracy`.
    """
    low, high = accuracy["mae_95"]
    told = {**accuracy, "mae_low": low, "mae_high": high}
    scalars = {name: float(told[name]) for name in (*TOLD, *DEFINED) if math.isfinite(told[name])}
    return pack(
        Envelope("reported", sender, asked.round, asked.nonce, terms.config, schema({}), scalars),
        {},
    )


def read_report(message: Message) -> dict[str, Any]:
    """The inverse of `reported`; what is not defined is NaN."""
    told = {name: message.envelope.scalars.get(name, math.nan) for name in (*TOLD, *DEFINED)}
    return {
        **told,
        "n": int(told["n"]),
        "subjects": int(told["subjects"]),
        "mae_95": [told["mae_low"], told["mae_high"]],
    }


def answer(terms: Terms, asked: Envelope, sender: str, update: Update) -> bytes:
    """A site's update, of a cohort of one (leading axis of length 1).

    Raises:
      Refused: when a number is not finite: nothing is sent then.
    """
    own = jax.tree.map(lambda x: np.asarray(x)[0], update)
    scalars = {
        "weight": float(own.weight),
        **{name: float(own.metrics[name]) for name in terms.metrics},
    }
    vectors = flatten(_answer(own))
    for name, value in [
        *scalars.items(),
        *((n, float(np.abs(v).max(initial=0))) for n, v in vectors.items()),
    ]:
        if not math.isfinite(value):
            raise Refused(
                f"{name}: training gave {value}, so nothing is sent. Lower the learning rate."
            )
    return pack(
        Envelope(
            "update", sender, asked.round, asked.nonce, terms.config, schema(terms.answer), scalars
        ),
        vectors,
    )


def require_answer(terms: Terms, message: Message) -> None:
    """Raises Refused when collections, lengths or scalars are not those of the answer's kind."""
    kind, scalars = message.envelope.kind, set(message.envelope.scalars)
    names = {
        "update": {"weight", *terms.metrics},
        "validated": {"loss", "count"},
        "reported": set(TOLD),
    }[kind]
    if scalars - set(DEFINED if kind == "reported" else ()) != names:
        raise Refused(f"expected the scalars {', '.join(sorted(names))}, got {sorted(scalars)}")
    unflatten(message.vectors, terms.answer if kind == "update" else {})
