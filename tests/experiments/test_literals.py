"""Literal arguments of calls are of the types that signatures say."""

import inspect
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import optax
import pytest

from fedbrain.data.sites import bids
from fedbrain.experiments.literals import describe, fits, require_types

NUMBER = inspect.signature(optax.adam).parameters["learning_rate"].annotation


@pytest.mark.parametrize(
    ("value", "kind", "right"),
    [
        (3, float, True),
        ("3", float, False),
        (True, float, False),
        (2.0, int, False),
        (True, int, False),
        (1, bool, False),
        (None, str, False),
        (None, str | None, True),
        ((1, 2), tuple[int, ...], True),
        ([1, 2.5], tuple[int, ...], False),
        ("ab", Sequence[str], False),
        ("ab", str | Iterable[str], True),
        ((1, 2), tuple[float | int, float | int], True),
        ((1, 2, 3), tuple[float | int, float | int], False),
        ({"a": "b"}, Mapping[str, str] | None, True),
        ({"a": 1}, Mapping[str, str] | None, False),
        (("a", "b"), Mapping[str, str] | None, False),
        ("mean", Literal["mean", "sum"], True),
        ("max", Literal["mean", "sum"], False),
        ("1e-3", NUMBER, False),
        (1e-3, NUMBER, True),
        ("x", Any, True),
    ],
)
def test_a_literal_fits_a_type(value, kind, right):
    assert fits(value, kind) == right


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (NUMBER, "a number"),
        (Mapping[str, str] | None, "{text in quotes: text in quotes}"),
        (str | Iterable[str], "text in quotes or (text in quotes, ...)"),
        (Literal["a", "b"], "'a' or 'b'"),
        (tuple[int, ...], "(an integer, ...)"),
    ],
)
def test_a_type_in_words(kind, words):
    assert describe(kind).startswith(words)


def test_the_argument_is_named():
    with pytest.raises(ValueError, match="Expected label to be text in quotes, got 3"):
        require_types(bids, {"root": "x", "label": 3})
