"""The server's side of a run, over any transport: validate, judge, train, aggregate, checkpoint;
round after round.

A round is done when its checkpoint is. Whatever is lost after that is asked again, and comes again
with the same bits.
"""

import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from fedbrain.deploy.protocol.codec import Data
from fedbrain.deploy.protocol.gate import Question, admit, norms, too_large
from fedbrain.deploy.protocol.job import Agreement
from fedbrain.deploy.protocol.messages import (
    make_aggregate,
    order_training,
    read_answers,
    require_answer,
    send_model,
)
from fedbrain.deploy.protocol.register import Registration
from fedbrain.deploy.protocol.wire import Message, Refused, schema
from fedbrain.deploy.server_side.deadlines import Pace
from fedbrain.deploy.server_side.status import Progress
from fedbrain.experiments.checkpoints import Checkpoints
from fedbrain.experiments.federation import SUMS, judge, pooled
from fedbrain.experiments.workdir import MetricsLog
from fedbrain.training.selection import Selection, should_stop, start
from fedbrain.types import ServerState

# (messages by site, seconds to wait) -> answers, (site as its certificate names it, bytes), as they
# come
Transport = Callable[[Mapping[str, bytes], int], Iterable[tuple[str, Data]]]


class Rules(NamedTuple):
    """When a round counts."""

    fewest: int  # sites
    medians: float  # a norm may be so many times the median of the round's
    limit: int  # bytes of a message
    deadline_s: int  # of an answer, at most


class Side(NamedTuple):
    """The server's side of a run: what stays the same from round to round."""

    agreement: Agreement
    transport: Transport
    sites: Mapping[str, Registration]
    rules: Rules
    pace: Pace
    progress: Progress
    tell: Callable[[str, str], None] = lambda site, why: None  # a site, why its answer was refused


class Answers(NamedTuple):
    """What came of a question."""

    admitted: dict[str, Message]
    left: dict[str, str]  # sites without an admitted answer -> why
    refused: list[str]  # every answer that was refused, second ones and strangers' too


class State(NamedTuple):
    """What a checkpoint of the server holds."""

    server: ServerState
    selection: Selection
    best_server: ServerState


COUNTS = {
    "validated": ("count", "valid"),
    "update": ("weight", "train"),
    "reported": ("n", "test"),
}  # answer -> (scalar, of)


def ask(side: Side, names: Iterable[str], state: State, kind: str) -> Answers:
    """Sends a question to sites and lets the answers through the gate.

    Args:
      side: the server's.
      names: of the sites.
      state: of the run.
      kind: of the answer: "validated", "update" or "reported".
    """
    terms, rules, began = side.agreement.terms, side.rules, time.monotonic()
    nonce, best = secrets.token_hex(16), int(state.selection.best_round)
    if kind == "update":
        question = order_training(terms, state.server, nonce=nonce)
    elif kind == "validated":
        question = send_model(terms, state.server, nonce=nonce, best_round=best)
    else:
        question = send_model(terms, state.best_server, nonce=nonce, best_round=best, kind="report")
    number = best if kind == "reported" else int(state.server.round)
    outline, (scalar, of), questions = terms.answer if kind == "update" else {}, COUNTS[kind], {}
    for name in names:
        counts = {scalar: float(getattr(side.sites[name], of))}
        questions[name] = Question(
            kind, number, nonce, terms.config, schema(outline), counts, rules.limit
        )
    side.progress.tell(doing=kind)
    admitted, left, refused = {}, dict.fromkeys(questions, "no answer before the deadline"), []
    for sender, data in side.transport(
        dict.fromkeys(questions, question), side.pace.deadline_s(kind)
    ):
        try:
            message = admit(sender, data, questions, set(admitted))
            require_answer(terms, message)
            admitted[sender] = message
            left.pop(sender, None)
        except Refused as error:
            refused.append(f"{sender}: {error}")
            side.tell(sender, str(error))
            if (
                sender in questions and sender not in admitted
            ):  # a second answer does not undo the first
                left[sender] = str(error)
    if not left:
        side.pace.took(kind, time.monotonic() - began)
    return Answers(admitted, left, refused)


def require_enough(
    admitted: Mapping[str, Message], left: Mapping[str, str], fewest: int, what: str
) -> None:
    """Raises ValueError when too few sites answered, with every reason."""
    if len(admitted) < fewest:
        reasons = "; ".join(f"{name}: {why}" for name, why in left.items())
        raise ValueError(
            f"{what}: expected answers of at least {fewest} sites, got {len(admitted)}. {reasons}"
        )


def one_round(side: Side, state: State, aggregate: Callable) -> tuple[State, dict[str, Any]]:
    """Trains on the model that sites have, aggregates, sends the new one for validation; (state, a
    line for the log).
    """
    experiment, rules, number = side.agreement.experiment, side.rules, int(state.server.round) + 1
    cohort = experiment.sampling(sorted(side.sites), number, side.agreement.seed)
    updates, left, refused = ask(side, cohort, state, "update")
    giants = too_large(
        {name: norms(message) for name, message in updates.items()}, medians=rules.medians
    )
    updates = {name: message for name, message in updates.items() if name not in giants}
    for name, why in giants.items():
        side.tell(name, why)
    require_enough(
        updates, left | giants, min(rules.fewest, len(cohort)), f"round {number}, training"
    )
    present, (vectors, update) = sorted(updates), read_answers(side.agreement.terms, updates)
    side.progress.tell(doing="aggregating")
    server, info = aggregate(state.server, vectors, update, present)
    told, silent, more = ask(side, side.sites, state._replace(server=server), "validated")
    require_enough(told, silent, rules.fewest, f"round {number}, validation")
    sums = {
        name: (told[name].envelope.scalars["loss"], int(told[name].envelope.scalars["count"]))
        for name in sorted(told)
    }
    loss = pooled(sums)
    server, selection = judge(experiment, server, state.selection, number, loss)
    best = server if int(selection.best_round) == number else state.best_server
    values = {
        k: np.asarray(v).tolist() for k, v in {**update.metrics, **info}.items() if k not in SUMS
    }
    losses = zip(np.asarray(update.metrics["loss"]), np.asarray(update.metrics["count"]))
    line = {
        "round": number,
        "best_round": int(selection.best_round),
        "learning_rate_scale": float(server.learning_rate_scale),
        "train_loss": {name: float(s / max(n, 1)) for name, (s, n) in zip(present, losses)},
        "valid_loss": loss,
        "valid_loss_by_client": {name: s / max(n, 1) for name, (s, n) in sums.items()},
        "left_out": left | giants | silent,
        "refused": [*refused, *(f"{name}: {why}" for name, why in giants.items()), *more],
        "seconds": side.pace.seconds(),
        **{k: dict(zip(present, v)) if isinstance(v, list) else v for k, v in values.items()},
    }
    return State(server, selection, best), line


def first_state(agreement: Agreement, sites: Mapping[str, Registration]) -> State:
    """Before the first round."""
    examples = jnp.asarray([sites[name].train for name in sorted(sites)], jnp.float32)
    server = agreement.experiment.algorithm.init(agreement.fresh, examples)
    return State(server, start(), server)


def conduct(side: Side, *, workdir: Path) -> State:
    """Runs the rounds that are still to be run, or those until `workdir/stop` is there.

    Raises:
      ValueError: when too few sites answer; the next start goes on from the last round that is
        done.
    """
    experiment = side.agreement.experiment
    first = first_state(side.agreement, side.sites)
    checkpoints = Checkpoints(workdir / "checkpoints", keep=experiment.keep)
    done, state = checkpoints.restore_latest(first) or (0, first)
    metrics = MetricsLog(workdir / "metrics.jsonl", rounds=done)
    aggregate = make_aggregate(experiment.algorithm, experiment.trusted)
    side.progress.tell(round=done, rounds=experiment.rounds)
    try:
        if not over(side, state):  # sites need the model; what they say of it is known already
            admitted, left, _ = ask(side, side.sites, state, "validated")
            require_enough(admitted, left, side.rules.fewest, f"round {done}, start")
        while not over(side, state) and not (workdir / "stop").exists():
            state, line = one_round(side, state, aggregate)
            metrics.write(line)  # taken back at the next start when the checkpoint is not there
            side.progress.tell(doing="saving")
            checkpoints.save(line["round"], state)
            checkpoints.flush()
            told = {
                k: line[k] for k in ("round", "best_round", "valid_loss", "left_out", "seconds")
            }
            side.progress.tell(**told)
    finally:
        checkpoints.close()
    return state


def over(side: Side, state: State) -> bool:
    """Whether no round is left to be run."""
    experiment = side.agreement.experiment
    return int(state.server.round) >= experiment.rounds or should_stop(
        state.selection, experiment.patience
    )
