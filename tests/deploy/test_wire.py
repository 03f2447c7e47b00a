"""The wire carries numbers bit for bit and refuses whatever is not a whole message."""

import hashlib
import json
import struct

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from fedbrain.algorithms.compression import bfloat16, int8
from fedbrain.deploy.nvflare.parcels import PIECE, SMALL, pieces, whole
from fedbrain.deploy.protocol.codec import BLOCK, CODINGS, decode, encode
from fedbrain.deploy.protocol.wire import (
    Envelope,
    Refused,
    flatten,
    pack,
    schema,
    unflatten,
    unpack,
)

ENVELOPE = Envelope(
    "update", "brussels", 3, "n1", "c" * 64, "s" * 64, {"weight": 31.0, "loss": 0.1}
)


def _bits(x):
    return np.asarray(x, np.float32).view(np.uint32)


@settings(deadline=None)
@given(arrays.arrays(np.float32, st.integers(0, 700), elements=st.floats(width=32, allow_nan=True)))
def test_any_vector_comes_back_bit_for_bit(x):
    name, data = encode(x)
    np.testing.assert_array_equal(_bits(decode(name, data, x.size)), _bits(x))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("link", "coding", "bytes_each"), [(int8(), "int8", 1 + 4 / BLOCK), (bfloat16(), "bfloat16", 2)]
)
def test_what_a_lossy_link_leaves_is_sent_in_its_own_size(link, coding, bytes_each, seed):
    x = jax.random.normal(jax.random.key(seed), (10 * BLOCK,)) * 1e-3
    sent, _ = link.update(x, link.init(x))
    name, data = encode(np.asarray(sent))
    assert name == coding
    assert len(data) == bytes_each * x.size
    np.testing.assert_array_equal(_bits(decode(name, data, x.size)), _bits(sent))


def test_special_numbers_keep_their_bits():
    x = np.asarray([np.nan, np.inf, -np.inf, -0.0, 0.0, 1e-45, 3.4e38], np.float32)
    name, data = encode(x)
    np.testing.assert_array_equal(_bits(decode(name, data, x.size)), _bits(x))
    assert encode(np.zeros(BLOCK, np.float32))[0] == "int8"


def test_trees_and_private_leaves():
    tree = {
        "delta": {
            "conv": {"kernel": jnp.ones((2, 3)), "bias": None},
            "head": jnp.arange(3, dtype=jnp.float32),
        },
        "extra": {"count": jnp.asarray(7, jnp.int32)},
        "model_state": {},
    }
    vectors = flatten(tree)
    assert {k: v.size for k, v in vectors.items()} == {"delta": 9, "extra": 1, "model_state": 0}
    back = unflatten(vectors, jax.eval_shape(lambda: tree))
    assert jax.tree.all(
        jax.tree.map(lambda a, b: np.array_equal(a, b) and a.dtype == b.dtype, tree, back)
    )
    with pytest.raises(Refused, match="delta: expected 9 numbers, got 8"):
        unflatten({**vectors, "delta": vectors["delta"][1:]}, tree)
    with pytest.raises(Refused, match="expected the collections"):
        unflatten({"delta": vectors["delta"]}, tree)
    with pytest.raises(ValueError, match="got \\['float16'\\]"):
        flatten({"delta": jnp.zeros(2, jnp.float16)})


def test_the_schema_is_names_shapes_and_types():
    a = {"w": jnp.zeros((2, 3))}
    assert schema(a) == schema(jax.eval_shape(lambda: a))
    others = [
        {"v": jnp.zeros((2, 3))},
        {"w": jnp.zeros((3, 2))},
        {"w": jnp.zeros((2, 3), jnp.bfloat16)},
    ]
    assert len({schema(t) for t in [a, *others]}) == 4


def _message():
    rng = np.random.default_rng(0)
    return pack(
        ENVELOPE,
        {
            "delta": rng.normal(size=1000).astype(np.float32),
            "model_state": np.zeros(10, np.float32),
        },
    )


def test_a_message_comes_back_whole():
    data = _message()
    message = unpack(data, limit=10_000)
    assert message.envelope == ENVELOPE
    assert set(message.vectors) == {"delta", "model_state"}
    assert pack(*message) == data
    assert len(data) < 4 * 1010 + 600


def _sealed(text, body):
    return (
        b"FBW1" + struct.pack("<I", len(text)) + hashlib.sha256(text + body).digest() + text + body
    )


def _changed(field, value):
    """A message whose header says something else, hashed by its liar."""
    data = _message()
    (length,) = struct.unpack("<I", data[4:8])
    header = json.loads(data[40 : 40 + length])
    header[field] = value
    return _sealed(json.dumps(header).encode(), data[40 + length :])


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "begins with"),
        (b"PK\x03\x04" + bytes(100), "begins with"),
        (_message()[:-1], "damaged on the way"),
        (_message() + b"x", "damaged on the way"),
        (_sealed(b"{}", b""), "fields of a message"),
        (_changed("vectors", [["delta", "float32", 1000, 4000]]), "bytes after the header"),
        (_message()[:-1] + bytes([_message()[-1] ^ 1]), "damaged on the way"),
        (b"FBW1" + struct.pack("<I", 2**31) + bytes(50), "header of at most"),
        (_sealed(b"[[[[[[[[[", b""), "fields of a message"),
        (_sealed(b"[" * 100_000, b""), "fields of a message"),
        (_changed("round", "3"), "fields of a message"),
        (_changed("round", True), "fields of a message"),
        (_changed("surprise", 1), "fields of a message"),
        (_changed("scalars", {"weight": "many"}), "fields of a message"),
        (_changed("scalars", {"weight": 10**400}), "fields of a message"),
        (_changed("scalars", [1]), "fields of a message"),
        (_changed("round", 10**30), "fields of a message"),
        (_changed("round", -(2**31)), "fields of a message"),
        (
            _changed("vectors", [["delta", "zip", 1000, 4000], ["model_state", "int8", 10, 14]]),
            "coding among",
        ),
        (
            _changed("vectors", [["delta", "float32", 999, 4000], ["model_state", "int8", 10, 14]]),
            "expected 3996 bytes",
        ),
        (_changed("vectors", [["delta", "float32", -1, 4014]]), "fields of a message"),
        (
            _changed("vectors", [["delta", "float32", 1000, 4000], ["delta", "int8", 10, 14]]),
            "fields of a message",
        ),
    ],
)
def test_what_is_not_a_whole_message_is_refused_in_one_sentence(data, sentence):
    with pytest.raises(Refused, match=sentence):
        unpack(data, limit=200_000)


def test_a_message_may_be_too_long():
    with pytest.raises(Refused, match="at most 100 bytes"):
        unpack(_message(), limit=100)


@settings(deadline=None, max_examples=300)
@given(st.integers(0, len(_message()) - 1), st.integers(1, 255))
def test_no_flipped_byte_is_taken_for_the_message(place, flip):
    data = bytearray(_message())
    data[place] ^= flip
    with pytest.raises(Refused):
        unpack(bytes(data), limit=10_000)


def test_every_coding_checks_its_length():
    for name in CODINGS:
        with pytest.raises(ValueError, match="expected .* bytes, got 3"):
            decode(name, b"abc", 10)


@pytest.mark.parametrize("size", [0, 10, SMALL, SMALL + 1, SMALL + 3 * PIECE])
def test_a_large_message_travels_in_pieces(size):
    data = np.random.default_rng(0).bytes(size)
    parcel = pieces(data)
    assert isinstance(parcel, bytes) == (size <= SMALL)
    assert all(len(x) <= PIECE for x in parcel if not isinstance(parcel, bytes))
    assert whole(parcel) == data


@pytest.mark.parametrize(
    "strange", [None, "text", 7, [b"a"], [np.zeros(3)], [np.zeros((2, 2), np.uint8)], {"a": 1}]
)
def test_what_is_no_parcel_is_refused(strange):
    with pytest.raises(Refused, match="expected a message that begins with"):
        unpack(whole(strange), limit=100)
