"""Faults of messages: what a broken line, a broken site or a liar makes of one answer. Each is a
function of the table.
"""

from collections.abc import Callable
from random import Random
from typing import NamedTuple

import numpy as np

from fedbrain.deploy.protocol.wire import pack, unpack

LIMIT = 10_000_000
Sent = tuple[str, bytes]


class Past(NamedTuple):
    """What was sent before, by everybody: questions and answers."""

    answers: list[Sent]
    questions: list[bytes]


def _changed(
    data: bytes, *, scalars: dict | None = None, vectors: Callable | None = None, **fields: object
) -> bytes:
    """The message with other fields, as somebody who knows the format would forge it."""
    message = unpack(data, limit=LIMIT)
    told = {**message.envelope.scalars, **(scalars or {})}
    numbers = {k: vectors(v) for k, v in message.vectors.items()} if vectors else message.vectors
    return pack(message.envelope._replace(scalars=told, **fields), numbers)


def _flip(rng: Random, data: bytes) -> bytes:
    broken = bytearray(data)
    broken[rng.randrange(len(broken))] ^= 1 << rng.randrange(8)
    return bytes(broken)


def _poison(rng: Random, value: float, data: bytes) -> bytes:
    """One number of the message is not a number."""

    def put(v: np.ndarray) -> np.ndarray:
        v = v.copy()
        if v.size:
            v[rng.randrange(v.size)] = value
        return v

    message = unpack(data, limit=LIMIT)
    if message.vectors:
        return _changed(data, vectors=put)
    return _changed(data, scalars=dict.fromkeys(message.envelope.scalars, 1e300))


def _stale(past: Past, name: str, data: bytes) -> bytes:
    """What the site sent to the same question in an earlier round, or else nothing sensible."""
    kind = unpack(data, limit=LIMIT).envelope.kind
    for sender, old in past.answers:
        if sender == name and unpack(old, limit=LIMIT).envelope.kind == kind and old != data:
            return old
    return _changed(data, round=-1)


def _stale_question(past: Past, question: bytes) -> bytes:
    kind = unpack(question, limit=LIMIT).envelope.kind
    old = [
        q for q in past.questions if unpack(q, limit=LIMIT).envelope.kind == kind and q != question
    ]
    return old[0] if old else _changed(question, round=-1)


Question = Callable[[Random, Past, bytes], bytes]
QUESTIONS: dict[str, Question] = {
    "question: a flipped bit": lambda rng, past, data: _flip(rng, data),
    "question: cut short": lambda rng, past, data: data[: rng.randrange(len(data))],
    "question: another configuration": lambda rng, past, data: _changed(data, config="0" * 64),
    "question: wrong schema": lambda rng, past, data: _changed(data, schema="0" * 64),
    "question: of an earlier round": lambda rng, past, data: _stale_question(past, data),
    "question: a NaN": lambda rng, past, data: _poison(rng, float("nan"), data),
    "question: an unknown kind": lambda rng, past, data: _changed(data, kind="run"),
}
Fault = Callable[[Random, Past, str, bytes], list[Sent]]
FAULTS: dict[str, Fault] = {
    "duplicate": lambda rng, past, name, data: [(name, data)] * rng.randint(2, 4),
    "late, after the others": lambda rng, past, name, data: [
        ("", b""),
        (name, data),
    ],  # "": to the end of the queue
    "lost on the way": lambda rng, past, name, data: [],
    "stale: of an earlier round": lambda rng, past, name, data: [(name, _stale(past, name, data))],
    "replayed, then answered": lambda rng, past, name, data: [
        (name, _stale(past, name, data)),
        (name, data),
    ],
    "a flipped bit": lambda rng, past, name, data: [(name, _flip(rng, data))],
    "cut short": lambda rng, past, name, data: [(name, data[: rng.randrange(len(data))])],
    "longer than it says": lambda rng, past, name, data: [
        (name, data + rng.randbytes(rng.randint(1, 99)))
    ],
    "oversize": lambda rng, past, name, data: [(name, data + bytes(LIMIT))],
    "noise": lambda rng, past, name, data: [(name, rng.randbytes(rng.randint(0, 9999)))],
    "a NaN": lambda rng, past, name, data: [(name, _poison(rng, float("nan"), data))],
    "an infinity": lambda rng, past, name, data: [(name, _poison(rng, float("inf"), data))],
    "wrong shape": lambda rng, past, name, data: [
        (name, _changed(data, vectors=lambda v: v[:-1], scalars={"x": 1.0}))
    ],
    "wrong schema": lambda rng, past, name, data: [(name, _changed(data, schema="0" * 64))],
    "another configuration": lambda rng, past, name, data: [
        (name, _changed(data, config="0" * 64))
    ],
    "another nonce": lambda rng, past, name, data: [
        (name, _changed(data, nonce=rng.randbytes(16).hex()))
    ],
    "another kind": lambda rng, past, name, data: [(name, _changed(data, kind="model"))],
    "an extra number": lambda rng, past, name, data: [
        (name, _changed(data, scalars={"more": 1.0}))
    ],
    "a count above the declared": lambda rng, past, name, data: [
        (
            name,
            _changed(
                data,
                scalars={
                    "weight"
                    if "weight" in unpack(data, limit=LIMIT).envelope.scalars
                    else "count": 1e6
                },
            ),
        )
    ],
    "in another site's name": lambda rng, past, name, data: [
        ({"amber": "birch"}.get(name, "amber"), data)
    ],
    "of a stranger": lambda rng, past, name, data: [("mallory", data), (name, data)],
    "two sites of one name": lambda rng, past, name, data: [
        (name, data),
        (
            name,
            _changed(
                data,
                scalars={k: v * 1.5 for k, v in unpack(data, limit=LIMIT).envelope.scalars.items()},
            ),
        ),
    ],
    "ten thousand times too large": lambda rng, past, name, data: [
        (name, _changed(data, vectors=lambda v: v * np.float32(1e4)))
    ],
}
