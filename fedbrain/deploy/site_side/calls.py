"""A field of a job that holds a call, or several: what may be called, and with which arguments."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from fedbrain.deploy.protocol.wire import Refused
from fedbrain.deploy.site_side.bounds import Bound, either, flag, number, word

PLAIN: Bound = either(number(-1e6, 1e6), flag(), word(32))
LONGEST = 1000  # characters of a call; arbitrary
Arguments = Mapping[str, Bound] | None  # None: all of them, each PLAIN


class Calls(NamedTuple):
    """One field of a configuration that holds a call, or several."""

    table: Mapping[str, Callable]  # what there is
    bounds: Mapping[str, Arguments]  # name -> the arguments that may be given, and their ranges
    opened: frozenset[str]  # names that run without being named in `site.toml`
    program: Mapping[str, Any]  # arguments that the program adds

    def bound(self, name: str, argument: str) -> Bound | None:
        """The range of an argument; None when it may not be given."""
        arguments = self.bounds[name]
        return PLAIN if arguments is None else arguments.get(argument)


def calls(
    table: Mapping[str, Callable],
    bounds: Mapping[str, Arguments],
    *,
    closed: Iterable[str] = (),
    program: Mapping[str, Any] | None = None,
) -> Calls:
    """A field.

    Args:
      table: what there is.
      bounds: name -> the arguments that may be given, and their ranges.
      closed: names that run only where `site.toml` names them.
      program: arguments that the program adds.
    """
    return Calls(table, bounds, frozenset(bounds) - set(closed), program or {})


def at_server(table: Mapping[str, Callable], closed: Iterable[str] = ()) -> Calls:
    """What only the server computes: a site bounds the size of its arguments.

    Args:
      table: what there is.
      closed: names that run only where `site.toml` names them.
    """
    return calls(table, dict.fromkeys(table), closed=closed)


def without_arguments(names: Iterable[str]) -> dict[str, Arguments]:
    """Names that may be called without any argument.

    Args:
      names: of a table.
    """
    return {name: {} for name in names}


def require_written(field: str, value: Any, *, many: bool) -> None:
    """Raises Refused when a field holds no calls, or one that does not say in one line all that it
    says to the person who reads it.

    Args:
      field: of a configuration, for the sentence.
      value: what it holds.
      many: whether it holds a sequence of calls.
    """
    if isinstance(value, list | tuple) != many:
        kind = "a sequence of calls" if many else "a call"
        raise Refused(f"config.{field}: expected {kind}, got {repr(value)[:80]}")
    for text in value if many else [value]:
        plain = isinstance(text, str) and len(text) <= LONGEST and text.isascii()
        if not plain or not text.isprintable() or "#" in text:
            raise Refused(
                f"config.{field}: expected a call of at most {LONGEST} plain letters in one line,"
                f" without a comment, got {repr(text)[:80]}"
            )
