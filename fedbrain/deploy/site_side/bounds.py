"""What an argument of a call, or a field of a configuration, may be at a site."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple


class Bound(NamedTuple):
    """A set of values."""

    words: str  # for sentences: "a number from 0 to 1"
    accepts: Callable[[Any], bool]


def number(low: float | int, high: float | int) -> Bound:
    """A finite number; True is none.

    >>> number(0, 1).accepts(0.5), number(0, 1).accepts(float("nan")), number(0, 1).accepts(True)
    (True, False, False)
    >>> number(0, 1).accepts(10**400)
    False
    """
    assert -math.inf < low <= high < math.inf

    def accepts(value: Any) -> bool:
        plain = isinstance(value, int | float) and not isinstance(value, bool)
        return plain and low <= value <= high  # not NaN; a whole number of any size

    return Bound(f"a number from {low:g} to {high:g}", accepts)


def whole(low: int, high: int) -> Bound:
    """A whole number.

    >>> whole(1, 8).accepts(8), whole(1, 8).accepts(8.0)
    (True, False)
    """

    def accepts(value: Any) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high

    return Bound(f"a whole number from {low} to {high}", accepts)


def one_of(*values: str) -> Bound:
    """One of a few texts.

    >>> one_of("batch", "group").accepts("layer")
    False
    """
    return Bound(" or ".join(values), lambda value: isinstance(value, str) and value in values)


def flag() -> Bound:
    """True or False.

    >>> flag().accepts(1)
    False
    """
    return Bound("True or False", lambda value: isinstance(value, bool))


def word(most: int = 64) -> Bound:
    """A short text of letters, digits, `_`, `-` and `.`: no path, no sentence.

    >>> word().accepts("transition3"), word().accepts("../etc")
    (True, False)
    """

    def accepts(value: Any) -> bool:
        return (
            isinstance(value, str)
            and len(value) <= most
            and ".." not in value
            and all(c.isascii() and (c.isalnum() or c in "_-. ") for c in value)
        )

    return Bound(f"at most {most} letters, digits, _, -, . and spaces", accepts)


def words(most: int = 64) -> Bound:
    """Such texts with commas between them, or nothing.

    >>> words().accepts("sex,age"), words().accepts("a,../b")
    (True, False)
    """
    each = word(most)
    return Bound(
        f"{each.words}, with commas between names",
        lambda value: isinstance(value, str) and all(map(each.accepts, value.split(","))),
    )


def several(each: Bound, most: int, least: int = 1) -> Bound:
    """A sequence.

    >>> several(whole(1, 512), 8).accepts((32, 64))
    True
    """

    def accepts(value: Any) -> bool:
        listed = isinstance(value, list | tuple) and least <= len(value) <= most
        return listed and all(each.accepts(v) for v in value)

    return Bound(f"{least} to {most} values, each {each.words}", accepts)


def either(*bounds: Bound) -> Bound:
    """What one of several bounds accepts.

    >>> either(flag(), whole(0, 1)).accepts(1)
    True
    """
    words = ", or ".join(bound.words for bound in bounds)
    return Bound(words, lambda value: any(bound.accepts(value) for bound in bounds))
