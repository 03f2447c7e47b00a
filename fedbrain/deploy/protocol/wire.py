"""A message as bytes: a header in JSON and one vector per collection. No pickle, no code, nothing
that names people.

    magic | length of the header, 4 bytes | SHA-256 of all that follows | header | vectors, one
    after the other

The header holds the sender, the round, the configuration and the schema. Names and shapes of arrays
are not sent: both sides derive them from the configuration, and the schema hash shows whether they
agree.
"""

import hashlib
import json
import struct
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from fedbrain.deploy.protocol.codec import Data, decode, encode
from fedbrain.deploy.protocol.sentences import one_line
from fedbrain.types import PyTree

MAGIC = b"FBW1"
START = 8 + 32  # bytes before the header
HEADER_LIMIT = 1 << 20  # bytes
HIGHEST_ROUND = 1 << 31  # of any message; arrays hold it as int32
# bytes: the header ends in as many spaces as it takes, so that vectors can be read where they lie
ALIGNED = 16
# float32; of secure aggregation whole numbers
Vectors = Mapping[str, np.ndarray]


class Refused(ValueError):
    """A message that is not what it should be; one sentence, one line, says why."""

    def __init__(self, sentence: str):
        super().__init__(one_line(sentence))


class Envelope(NamedTuple):
    """What is known of a message before its numbers are looked at."""

    kind: str  # from the server: model, train, report; from a site: validated, update, reported
    sender: str  # "server", or the site's name in the consortium
    round: int  # rounds completed when the question was asked
    nonce: str  # random text of the server's question, which the answer repeats
    config: str  # hash of the experiment
    schema: str  # hash of names, shapes and types
    scalars: Mapping[str, float]  # weight and additive metrics


class Message(NamedTuple):
    """An envelope and its vectors."""

    envelope: Envelope  # all but the vectors
    vectors: dict[str, np.ndarray]  # collection -> all its numbers


def schema(tree: PyTree) -> str:
    """The hash of an outline: every leaf's path, shape and type.

    Args:
      tree: of arrays or their outlines.
    """
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    lines = [
        f"{jax.tree_util.keystr(path)} {tuple(leaf.shape)} {leaf.dtype.name}"
        for path, leaf in leaves
    ]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def flatten(tree: Mapping[str, PyTree]) -> dict[str, np.ndarray]:
    """Collection -> one float32 vector of its leaves, in the order of their paths.

    Args:
      tree: collection -> arrays.

    Raises:
      ValueError: for leaves that float32 does not hold.
    """
    vectors = {}
    for name, part in tree.items():
        leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(part)]
        unsupported = {leaf.dtype.name for leaf in leaves} - {"float32", "bfloat16", "int32"}
        large = any(
            leaf.dtype == np.int32 and np.abs(leaf.astype(np.int64)).max(initial=0) >= 1 << 24
            for leaf in leaves
        )
        if unsupported or large:
            raise ValueError(
                f"{name}: expected float32, bfloat16 or small int32 leaves, got"
                f" {sorted(unsupported) or 'large int32'}."
            )
        parts = [
            np.zeros(0, np.float32),
            *(x.astype(np.float32, copy=False).ravel() for x in leaves),
        ]
        vectors[name] = np.concatenate(parts)
    return vectors


def unflatten(vectors: Vectors, outline: Mapping[str, PyTree]) -> dict[str, PyTree]:
    """The inverse of `flatten`; float32 leaves are views of the vectors.

    Args:
      vectors: collection -> all its numbers.
      outline: collection -> outlines of its arrays.

    Raises:
      Refused: when a collection is missing, is new, or has another length.
    """
    if set(vectors) != set(outline):
        raise Refused(f"expected the collections {sorted(outline)}, got {sorted(vectors)}")
    trees = {}
    for name, part in outline.items():
        if vectors[name].dtype != np.float32:
            raise Refused(f"{name}: expected float32, got {vectors[name].dtype}")
        leaves, structure = jax.tree.flatten(part)
        sizes = [int(np.prod(leaf.shape)) for leaf in leaves]
        if vectors[name].size != sum(sizes):
            raise Refused(f"{name}: expected {sum(sizes)} numbers, got {vectors[name].size}")
        pieces = np.split(vectors[name], np.cumsum(sizes)[:-1]) if leaves else []
        shaped = [
            piece.reshape(leaf.shape).astype(leaf.dtype, copy=False)
            for piece, leaf in zip(pieces, leaves)
        ]
        trees[name] = jax.tree.unflatten(structure, shaped)
    return trees


def pack(envelope: Envelope, vectors: Vectors) -> bytes:
    """The bytes of a message; vectors come out of `unpack` with the same bits.

    Args:
      envelope: all but the vectors.
      vectors: collection -> all its numbers.
    """
    sizes, parts = [], []
    for name, vector in vectors.items():
        coding, data = encode(vector)
        sizes.append([name, coding, int(vector.size), len(data)])
        parts.append(data)
    header = {**envelope._asdict(), "vectors": sizes}
    text = json.dumps(header, separators=(",", ":"), allow_nan=False).encode()
    text += b" " * (-(START + len(text)) % ALIGNED)
    digest = hashlib.sha256(text)
    for part in parts:
        digest.update(part)
    return b"".join(
        [MAGIC, struct.pack("<I", len(text)), digest.digest(), text, *parts]
    )  # one copy of the numbers


def unpack(data: Data, *, limit: int, sizes: Mapping[str, int] | None = None) -> Message:
    """Reads a message. Float32 vectors are views of its bytes, not to be written to.

    Args:
      data: as received.
      limit: the most bytes that a message may have.
      sizes: collection -> numbers that are expected; None: any.

    Raises:
      Refused: for anything but a whole message.
    """
    if len(data) > limit:
        raise Refused(f"expected at most {limit:,} bytes, got {len(data):,}")
    if len(data) < START or data[:4] != MAGIC:
        raise Refused(f"expected a message that begins with {MAGIC!r}, got {data[:4]!r}")
    (length,), digest = struct.unpack("<I", data[4:8]), data[8:START]
    if length > min(HEADER_LIMIT, len(data) - START):
        raise Refused(
            f"expected a header of at most {min(HEADER_LIMIT, len(data) - START):,} bytes, got"
            f" {length:,}"
        )
    if hashlib.sha256(memoryview(data)[START:]).digest() != digest:
        raise Refused("expected the bytes that the sender hashed, got others: damaged on the way")
    envelope, listed = _header(bytes(data[START : START + length]))
    body = memoryview(data)[START + length :]
    expected = sum(size for *_, size in listed)
    if expected != len(body):
        raise Refused(f"expected {expected:,} bytes after the header, got {len(body):,}")
    lengths = {name: n for name, _, n, _ in listed}
    if sizes is not None and lengths != dict(sizes):
        raise Refused(f"expected the numbers {dict(sizes)}, got {lengths}"[:300])
    vectors, start = {}, 0
    for name, coding, n, size in listed:
        try:
            vectors[name] = decode(coding, body[start : start + size], n)
        except ValueError as error:
            raise Refused(f"{name}: {error}") from None
        start += size
    return Message(envelope, vectors)


def _header(text: bytes) -> tuple[Envelope, list[tuple[str, str, int, int]]]:
    """Exactly the fields that there are, each of its type."""
    try:
        header: Any = json.loads(text)
        listed = header.pop("vectors")
        envelope = Envelope(**header)
        kinds = [(f, str) for f in ("kind", "sender", "nonce", "config", "schema")] + [
            ("round", int)
        ]
        whole = all(type(getattr(envelope, name)) is kind for name, kind in kinds)
        scalars = {str(k): v for k, v in envelope.scalars.items()}
        sizes = [(name, coding, n, size) for name, coding, n, size in listed]
        whole &= all(type(v) in (int, float) for v in scalars.values())
        whole &= all(
            type(a) is str
            and type(b) is str
            and type(n) is int
            and type(s) is int
            and min(n, s) >= 0
            for a, b, n, s in sizes
        )
        whole &= len({name for name, *_ in sizes}) == len(sizes)
        whole &= abs(envelope.round) < HIGHEST_ROUND
        envelope = envelope._replace(scalars={k: float(v) for k, v in scalars.items()})
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError):
        whole = False
    if not whole:
        raise Refused("expected a header with the fields of a message, got something else")
    return envelope, sizes
