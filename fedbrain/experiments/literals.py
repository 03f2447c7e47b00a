"""Whether a literal argument of a call is of the type that the function's signature says."""

import inspect
import types
from collections.abc import Callable, Mapping
from typing import Any, Literal, Union, get_args, get_origin

WORDS = {float: "a number", int: "an integer", bool: "True or False", str: "text in quotes"}
NONE = (None, type(None))


def fits(value: Any, kind: Any) -> bool:
    """Whether a literal is of a type; types that no literal can have fit nothing.

    Args:
      value: number, text, tuple, list, dictionary, truth value or None.
      kind: an annotation.

    >>> fits(3, float), fits("3", float), fits(True, int), fits((1, 2), tuple[int, ...])
    (True, False, False, True)
    """
    origin, parts = get_origin(kind), get_args(kind)
    if kind in (Any, inspect.Parameter.empty):
        return True
    if kind in NONE:
        return value is None
    if kind in (int, float):
        return isinstance(value, int if kind is int else int | float) and type(value) is not bool
    if origin in (Union, types.UnionType):
        return any(fits(value, part) for part in parts)
    if origin is Literal:
        return value in parts
    if isinstance(origin, type):
        return _fits_container(value, origin, parts)
    return not isinstance(kind, type) or isinstance(value, kind)


def _fits_container(value: Any, origin: type, parts: tuple[Any, ...]) -> bool:
    if issubclass(origin, Mapping):
        pairs = value.items() if isinstance(value, dict) else [(None, None)]
        return isinstance(value, dict) and all(
            fits(key, parts[0]) and fits(one, parts[1]) for key, one in pairs
        )
    if origin is Callable or not isinstance(value, tuple | list):
        return False
    if origin is tuple and parts[-1] is not Ellipsis:
        return len(value) == len(parts) and all(map(fits, value, parts))
    return all(fits(one, parts[0]) for one in value)


def describe(kind: Any) -> str:
    """A type in words.

    Args:
      kind: an annotation.

    >>> describe(float), describe(tuple[int, ...])
    ('a number', '(an integer, ...)')
    """
    parts = [part for part in get_args(kind) if part is not Ellipsis]
    origin = get_origin(kind)
    if origin is None:
        return "None" if kind in NONE else WORDS.get(kind, str(kind))
    if origin is Literal:
        return " or ".join(map(repr, parts))
    if origin in (Union, types.UnionType):
        if float in parts:
            return WORDS[float]  # others beside it are arrays and schedules
        return " or ".join(describe(part) for part in parts if part not in NONE)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return f"{{{describe(parts[0])}: {describe(parts[1])}}}"
    return f"({describe(parts[0])}, ...)" if parts else str(kind)


def require_types(function: Callable, arguments: Mapping[str, Any]) -> None:
    """Refuses a literal of another type than the signature says.

    Args:
      function: that is to be called.
      arguments: name -> literal.

    Raises:
      ValueError: naming the argument.
    """
    parameters = inspect.signature(function).parameters
    for name, value in arguments.items():
        kind = parameters[name].annotation
        variadic = parameters[name].kind is inspect.Parameter.VAR_POSITIONAL
        if not all(fits(one, kind) for one in (value if variadic else [value])):
            raise ValueError(f"Expected {name} to be {describe(kind)}, got {value!r}.")
