"""Checks an answer before it is used: whether it answers this round's question, comes from the site
that it names, and has a plausible size.

Every answer passes here. A refusal is a sentence for the log and for the site; nothing of a refused
answer is used.
"""

import math
from collections.abc import Mapping, Set
from typing import NamedTuple

import numpy as np

from fedbrain.deploy.protocol.codec import Data
from fedbrain.deploy.protocol.wire import Message, Refused, unpack


class Question(NamedTuple):
    """What the server asked of one site in this round: what its answer must be."""

    kind: str  # of the answer: "update", "validated" or "reported"
    round: int  # rounds completed when the question was asked
    nonce: str  # random text of this question, which the answer repeats
    config: str  # hash of the experiment
    schema: str  # hash of the names, shapes and types of the answer's arrays
    # counts that must be there, positive and no more than the site declared when it joined
    at_most: Mapping[str, float]
    limit: int  # the most bytes of the answer
    # scalars that may be there -> (smallest, largest)
    bounds: Mapping[str, tuple[float, float]] = {}
    sizes: Mapping[str, int] | None = None  # collection -> numbers, compared before they are read


def admit(
    sender: str, data: Data, questions: Mapping[str, Question], answered: Set[str]
) -> Message:
    """The answer of a site.

    Args:
      sender: as the certificate of the connection names it.
      data: as received.
      questions: of this round, by site.
      answered: sites whose answer has been admitted already.

    Raises:
      Refused: saying which check failed, what was expected and what came.
    """
    if sender not in questions:
        raise Refused(
            f"expected an answer of {', '.join(sorted(questions)) or 'nobody'}, got one of {sender}"
        )
    question = questions[sender]
    message = unpack(data, limit=question.limit, sizes=question.sizes)
    envelope = message.envelope
    expected_fields = {
        "sender": sender,
        **{k: getattr(question, k) for k in ("kind", "round", "nonce", "config", "schema")},
    }
    for field, expected in expected_fields.items():
        if getattr(envelope, field) != expected:
            late = " It is late." if field == "round" and envelope.round < question.round else ""
            raise Refused(
                f"{field}: expected {expected!r}, got {getattr(envelope, field)!r}.{late}"
            )
    if sender in answered:
        raise Refused(
            f"expected one answer of {sender} in round {question.round}, got a second one"
        )
    _require_numbers(message)
    for name, most in question.at_most.items():
        count = envelope.scalars.get(name, math.nan)
        if not 0 < count <= most:
            raise Refused(
                f"{name}: expected more than 0 and at most the {most:g} declared, got {count:g}"
            )
    for name, (low, high) in question.bounds.items():
        value = envelope.scalars.get(name, low)
        if not low <= value <= high:
            raise Refused(f"{name}: expected a number from {low:g} to {high:g}, got {value:g}")
    return message


def _require_numbers(message: Message) -> None:
    for name, value in message.envelope.scalars.items():
        if not math.isfinite(value):
            raise Refused(f"{name}: expected a finite number, got {value}")
    for name, vector in message.vectors.items():
        bad = int(vector.size - np.isfinite(vector).sum())
        if bad:
            raise Refused(
                f"{name}: expected finite numbers, got {bad} of {vector.size} that are not"
            )


def norms(message: Message) -> dict[str, float]:
    """Collection -> Euclidean norm, summed in float64.

    Args:
      message: an update.
    """
    return {
        k: float(np.sqrt(np.einsum("i,i->", v, v, dtype=np.float64)))
        for k, v in message.vectors.items()
    }


def too_large(
    norms_of: Mapping[str, Mapping[str, float]], *, medians: float | int
) -> dict[str, str]:
    """Sites whose update is refused: in some collection its norm is above so many times the median
    of the round's norms, the lower one of two.

    Of two sites the larger one is refused: there is no majority, and the smaller one does less
    harm. A single site is compared with nobody.

    Args:
      norms_of: site -> collection -> norm.
      medians: how many.

    Returns:
      Site -> why.
    """
    if len(norms_of) < 2:
        return {}
    reasons = {}
    for collection in sorted({name for of_site in norms_of.values() for name in of_site}):
        ordered = sorted(of_site[collection] for of_site in norms_of.values())
        median = ordered[(len(ordered) - 1) // 2]
        for site, of_site in norms_of.items():
            if of_site[collection] > medians * median:
                reason = (
                    f"norm of {collection}: expected at most {medians:g} times the median"
                    f" {median:.3g} of this round, got {of_site[collection]:.3g}"
                )
                reasons.setdefault(site, reason)
    return reasons
