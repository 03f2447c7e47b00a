"""The server's side of a run, over any transport: validate, judge, train, aggregate, checkpoint; round after round.

A round is done when its checkpoint is. Whatever is lost after that is asked again, and comes again with the same bits.
"""

import secrets
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from fedbrain.build import Experiment
from fedbrain.deploy.exchange import Terms, make_aggregate, order_training, read_answers, require_answer, send_model
from fedbrain.deploy.gate import Question, admit, norm, too_large
from fedbrain.deploy.wire import Message, Refused, schema
from fedbrain.federation import SUMS, judge, pooled
from fedbrain.io.checkpoint import Checkpoints
from fedbrain.io.run import MetricsLog
from fedbrain.selection import Selection, should_stop, start
from fedbrain.types import ServerState, Variables

# messages by site -> answers, (site as its certificate names it, bytes), as they come until the deadline
Transport = Callable[[Mapping[str, bytes]], Iterable[tuple[str, bytes]]]


class Site(NamedTuple):
    """What a site declared when it joined."""

    train: int  # scans, at most
    valid: int


class Rules(NamedTuple):
    """When a round counts."""

    fewest: int  # sites
    medians: float  # a delta's norm may be so many times the median of the round's
    limit: int  # bytes of a message


class State(NamedTuple):
    """What a checkpoint of the server holds."""

    server: ServerState
    selection: Selection
    best_server: ServerState


def ask(
    transport: Transport, terms: Terms, sites: Mapping[str, Site], state: ServerState, kind: str, rules: Rules
) -> tuple[dict[str, Message], dict[str, str]]:
    """Sends a question to sites and lets the answers through the gate.

    Args:
      kind: "validated" or "update".

    Returns:
      (site -> admitted answer, site -> why it is not: refused, or none came).
    """
    nonce, asked, questions = secrets.token_hex(16), {}, {}
    make, outline = (send_model, {}) if kind == "validated" else (order_training, terms.answer)
    question = make(terms, state, nonce=nonce)
    for name, site in sites.items():
        counts = {"count": float(site.valid)} if kind == "validated" else {"weight": float(site.train)}
        questions[name] = Question(kind, int(state.round), nonce, terms.config, schema(outline), counts, rules.limit)
        asked[name] = question
    admitted, left = {}, dict.fromkeys(sites, "no answer before the deadline")
    for sender, data in transport(asked):
        try:
            message = admit(sender, data, questions, set(admitted))
            require_answer(terms, message)
            admitted[sender] = message
            left.pop(sender, None)
        except Refused as error:
            if sender not in admitted:  # a second answer does not undo the first
                left[sender] = str(error)
    return admitted, left


def require_enough(admitted: Mapping[str, Message], left: Mapping[str, str], rules: Rules, what: str) -> None:
    """Raises ValueError when too few sites answered, with every reason."""
    if len(admitted) < rules.fewest:
        reasons = "; ".join(f"{name}: {why}" for name, why in left.items())
        raise ValueError(f"{what}: expected answers of at least {rules.fewest} sites, got {len(admitted)}. {reasons}")


def one_round(
    transport: Transport, terms: Terms, sites: Mapping[str, Site], state: State, experiment: Experiment, rules: Rules,
    aggregate: Callable, *, seed: int,
) -> tuple[State, dict[str, Any]]:  # fmt: skip
    """Trains on the model that sites have, aggregates, sends the new one for validation; (state, a line for the log)."""
    number = int(state.server.round) + 1
    names = experiment.sampling(sorted(sites), number, seed)
    cohort = {name: sites[name] for name in names}
    updates, left = ask(transport, terms, cohort, state.server, "update", rules)
    giants = too_large({name: norm(message) for name, message in updates.items()}, medians=rules.medians)
    updates = {name: message for name, message in updates.items() if name not in giants}
    require_enough(updates, left | giants, rules, f"round {number}, training")
    update = read_answers(terms, updates)
    server, info = aggregate(state.server, update, sorted(updates))
    told, silent = ask(transport, terms, sites, server, "validated", rules)
    require_enough(told, silent, rules, f"round {number}, validation")
    sums = {name: (told[name].envelope.scalars["loss"], int(told[name].envelope.scalars["count"])) for name in sorted(told)}
    loss = pooled(sums)
    server, selection = judge(experiment, server, state.selection, number, loss)
    best = server if int(selection.best_round) == number else state.best_server
    values = {k: np.asarray(v).tolist() for k, v in {**update.metrics, **info}.items() if k not in SUMS}
    line = {
        "round": number,
        "best_round": int(selection.best_round),
        "learning_rate_scale": float(server.learning_rate_scale),
        "valid_loss": loss,
        "valid_loss_by_client": {name: s / max(n, 1) for name, (s, n) in sums.items()},
        "left_out": left | giants | silent,
        **{k: dict(zip(sorted(updates), v)) if isinstance(v, list) else v for k, v in values.items()},
    }
    return State(server, selection, best), line


def conduct(
    experiment: Experiment, terms: Terms, transport: Transport, sites: Mapping[str, Site], initial: Variables, rules: Rules,
    *, workdir: Path, seed: int,
) -> State:  # fmt: skip
    """Runs the rounds that are still to be run.

    Raises:
      ValueError: when too few sites answer; the next start goes on from the last round that is done.
    """
    server = experiment.algorithm.init(initial, jnp.asarray([sites[n].train for n in sorted(sites)], jnp.float32))
    first = State(server, start(), server)
    checkpoints = Checkpoints(workdir / "checkpoints", keep=experiment.keep)
    done, state = checkpoints.restore_latest(first) or (0, first)
    metrics = MetricsLog(workdir / "metrics.jsonl", rounds=done)
    aggregate = make_aggregate(experiment.algorithm, experiment.trusted)
    with tqdm(total=experiment.rounds, initial=done, desc="consortium", unit="round") as bar:
        try:
            if done < experiment.rounds:  # sites need the model; what they say of it is known already
                require_enough(
                    *ask(transport, terms, sites, state.server, "validated", rules), rules, f"round {done}, start"
                )
            while done < experiment.rounds and not should_stop(state.selection, experiment.patience):
                state, line = one_round(transport, terms, sites, state, experiment, rules, aggregate, seed=seed)
                done = line["round"]
                metrics.write(line)  # taken back at the next start when the checkpoint is not there
                checkpoints.save(done, state)
                checkpoints.flush()
                for name, why in line["left_out"].items():
                    bar.write(f"Round {done}: without {name}: {why}")
                bar.set_postfix(valid=f"{line['valid_loss']:.2f}", best=line["best_round"])
                bar.update()
        finally:
            checkpoints.close()
    return state
