"""One exchange of messages, as the server sees it: a question goes to sites, and their answers come
through the gate.
"""

import secrets
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import NamedTuple

import numpy as np

from fedbrain.analysis.site_groups import names_of as group_names
from fedbrain.deploy.protocol.answers import require_answer
from fedbrain.deploy.protocol.beside import NUMBERS
from fedbrain.deploy.protocol.codec import Data
from fedbrain.deploy.protocol.crossed import model_outline
from fedbrain.deploy.protocol.gate import Question, admit
from fedbrain.deploy.protocol.job import Agreement
from fedbrain.deploy.protocol.masked import KEY, MASKED, numbers_of_masked, write_key_question
from fedbrain.deploy.protocol.outlook import Awaited
from fedbrain.deploy.protocol.plausible import (
    HEADER,
    HIGHEST_LOSS,
    KEPT,
    TESTED,
    numbers_of,
    scalar_bounds,
)
from fedbrain.deploy.protocol.questions import (
    write_lone_training,
    write_model,
    write_training_order,
)
from fedbrain.deploy.protocol.register import Registration
from fedbrain.deploy.protocol.voxels import ANSWERS as VOXELS
from fedbrain.deploy.protocol.voxels import told_outlines
from fedbrain.deploy.protocol.wire import Message, Refused, schema
from fedbrain.deploy.server_side.deadlines import Pace
from fedbrain.deploy.server_side.large_arrays import IN_MEMORY, Arrays
from fedbrain.deploy.server_side.status import Progress
from fedbrain.experiments.round_end import Snapshot

# (messages by site, seconds to wait) -> answers, (site as its certificate names it, bytes), as they
# come
Transport = Callable[[Mapping[str, bytes], int], Iterable[tuple[str, Data]]]


SILENT, SAID = "no answer before the deadline", "refused: "  # why a site has no answer


class Rules(NamedTuple):
    """When a round counts."""

    fewest: int  # sites
    medians: float  # a norm may be so many times the median of the round's
    limit: int  # bytes of a message
    deadline_s: int  # of an answer, at most


class Side(NamedTuple):
    """The server's side of a run: what stays the same from round to round."""

    agreement: Agreement  # what follows from the job
    transport: Transport  # carries messages to sites and back
    sites: Mapping[str, Registration]  # of the consortium, present or not
    rules: Rules  # when a round counts
    pace: Pace  # deadlines, from what answers took so far
    progress: Progress  # the status file
    notify: Callable[[str, str], None] = lambda site, reason: None  # a site, why it was refused
    seen: Mapping[str, int] = {}  # site -> round of the last model that it has seen; -1: none
    excluded: Mapping[str, str] = {}  # sites that are asked nothing -> why
    rounds_before: int = 0  # of the job's earlier splits
    masked: bool = False  # whether updates are summed under masks
    arrays: Arrays = IN_MEMORY  # where the answers of a round lie


class Answers(NamedTuple):
    """What came back in an exchange."""

    admitted: dict[str, Message]  # site -> its answer
    left_out: dict[str, str]  # sites without an admitted answer -> why
    refused: list[str]  # every answer that was refused, also second ones and those of strangers


class Asked(NamedTuple):
    """A question that is written."""

    kind: str  # of the answer
    round: int  # that the question names
    nonce: str  # random text that the answer must repeat
    message: bytes  # the question
    numbers: Collection[str] = ()  # names of what answers a question beside the rounds


# kind of an answer -> (the scalar that counts scans, the field of a registration that bounds it)
COUNTS = {
    "validated": ("count", "valid"),
    "update": ("weight", "train"),
    "reported": ("n", "test"),
    "alone": ("n", "test"),
    "fitted": ("n", "test"),
    "tried": ("n", "test"),
}


def _write_question(
    side: Side, snapshot: Snapshot, kind: str, nonce: str, keys: bytes
) -> tuple[int, bytes]:
    """(round, bytes) of the message that asks for a kind of answer."""
    terms = side.agreement.terms
    best_round = int(snapshot.selection.best_round)
    round = int(snapshot.server.round)
    if kind == KEY:
        return round, write_key_question(terms, snapshot.server, nonce=nonce)
    if kind in ("update", MASKED):
        return round, write_training_order(terms, snapshot.server, nonce=nonce, keys=keys)
    if kind == "validated":
        return round, write_model(terms, snapshot.server, nonce=nonce, best_round=best_round)
    if kind in ("alone", KEPT["alone"]):
        state = snapshot.server._replace(round=np.int32(0))
        return 0, write_lone_training(terms, state, nonce=nonce)
    several = side.agreement.experiment.inner_splits > 1
    loss = min(float(snapshot.selection.best_loss), HIGHEST_LOSS) if several else 1.0
    how = {"best_round": best_round, "best_loss": loss}
    return best_round, write_model(terms, snapshot.best_server, nonce=nonce, kind="report", **how)


def _expected_answers(
    side: Side, names: Iterable[str], kind: str, round: int, nonce: str
) -> dict[str, Question]:
    """Site -> what its answer must be."""
    terms = side.agreement.terms
    if kind in (KEY, MASKED):
        masked = {MASKED: numbers_of_masked(terms)} if kind == MASKED else None
        limit = min(side.rules.limit, 8 * numbers_of_masked(terms) + HEADER)
        fields = (kind, round, nonce, terms.config, schema({}), {}, limit, {}, masked)
        return {name: Question(*fields) for name in names}
    experiment = side.agreement.experiment
    outlines = {"update": terms.answer, "lent": model_outline(terms), **told_outlines(experiment)}
    outline = outlines.get(kind, {})
    sizes = numbers_of(outline)
    limit = min(side.rules.limit, 4 * sum(sizes.values()) + HEADER)
    steps = {"batch_size": experiment.batch_size, "epochs": experiment.epochs}
    fixed = (kind, round, nonce, terms.config, schema(outline))
    if kind in (*KEPT.values(), *NUMBERS, *VOXELS.values(), "lent"):
        return {name: Question(*fixed, {}, limit, {}, sizes) for name in names}
    scalar, field = COUNTS[kind]
    return {
        name: Question(
            *fixed,
            {scalar: float(getattr(side.sites[name], field))},
            limit,
            scalar_bounds(kind, side.sites[name], **steps),
            sizes,
        )
        for name in names
    }


def collect_answers(
    side: Side, names: Iterable[str], snapshot: Snapshot, kind: str, keys: bytes = b""
) -> Answers:
    """Sends a question to sites and lets their answers through the gate.

    Args:
      side: the server's.
      names: of the sites.
      snapshot: of the run.
      kind: of the answer: "validated", "update", "reported" or "alone", or one of `KEPT`; "key" or
        "masked" under secure aggregation.
      keys: of all sites, for an order under masks.
    """
    nonce = secrets.token_hex(16)
    round, message = _write_question(side, snapshot, kind, nonce, keys)
    groups = group_names(side.agreement.experiment.report_by) if kind in TESTED else ()
    return ask(side, names, Asked(kind, round, nonce, message, groups))


def ask(side: Side, names: Iterable[str], asked: Asked) -> Answers:
    """Sends a question that is written and lets the answers through the gate.

    Args:
      side: the server's.
      names: of the sites.
      asked: the question.
    """
    began = time.monotonic()
    kind, names = asked.kind, list(names)
    here = [name for name in names if name not in side.excluded]
    excluded = {name: side.excluded[name] for name in names if name in side.excluded}
    questions = _expected_answers(side, here, kind, asked.round, asked.nonce)
    side.progress.update(doing=kind)
    silent = dict.fromkeys(questions, SILENT)
    answers = Answers({}, {**excluded, **silent}, [])
    alone = kind in ("alone", KEPT["alone"])
    rounds = side.agreement.experiment.rounds if alone else 1
    deadline_s = rounds * side.pace.deadline_s(kind)
    arriving = side.transport(dict.fromkeys(questions, asked.message), deadline_s)
    for sender, data in arriving:
        try:
            answer = admit(sender, data, questions, set(answers.admitted))
            require_answer(side.agreement.terms, answer, asked.numbers)
            answers.admitted[sender] = side.arrays.keep(answer)
            answers.left_out.pop(sender, None)
        except Refused as error:
            answers.refused.append(f"{sender}: {error}")
            side.notify(sender, str(error))
            # a second answer does not undo the first
            if sender in questions and sender not in answers.admitted:
                answers.left_out[sender] = str(error)
    said = side.progress.status.get("refused", {})
    for name, why in answers.left_out.items():
        if why == SILENT and name in said:
            answers.left_out[name] = f"{SAID}{said[name]}"
    if answers.left_out.keys() <= excluded.keys():
        side.pace.took(kind, time.monotonic() - began)
    return answers


def require_enough(
    admitted: Mapping[str, Message], left_out: Mapping[str, str], fewest: int, occasion: str
) -> None:
    """Raises ValueError when too few sites answered, with every reason; Awaited when it
    refused none of their answers itself.

    Args:
      admitted: site -> answer.
      left_out: site -> why it has no answer.
      fewest: sites that are needed.
      occasion: the round and its part, for the sentence.
    """
    if len(admitted) < fewest:
        reasons = "; ".join(f"{name}: {why}" for name, why in left_out.items())
        away = all(why == SILENT or why.startswith(SAID) for why in left_out.values())
        error = Awaited if away else ValueError  # refusals of sites are counted where they come
        raise error(
            f"{occasion}: expected answers of at least {fewest} sites, got {len(admitted)}."
            f" {reasons}"
        )
