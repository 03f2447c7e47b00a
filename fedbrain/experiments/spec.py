"""Reads text of a configuration as a call: `"krum(num_byzantine=1)"`.

Choices are calls with literal arguments, looked up in explicit tables: no eval, no import by name.
"""

import ast
import difflib
import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from fedbrain.experiments.literals import require_types


def bind(
    spec: str,
    table: Mapping[str, Callable],
    *,
    nested: Mapping[str, Callable] | None = None,
    **more: Any,
) -> tuple[str, inspect.BoundArguments]:
    """The name and the arguments that text calls an entry of a table with; nothing is called.

    Args:
      spec: a Python call with literal arguments; a bare name is a call without arguments.
      table: the names that may be called.
      nested: the names that may be called to make an argument.
      more: arguments that the program adds.

    Raises:
      ValueError: for anything but such a call, an unknown name (with the nearest known one), or
        wrong arguments.
    """
    try:
        node = ast.parse(spec.strip(), mode="eval").body
    except (SyntaxError, AttributeError):
        raise ValueError(f"Expected a call like 'name(argument=1)', got {spec!r}.") from None
    if isinstance(node, ast.Name):
        node = ast.Call(node, [], [])
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
        raise ValueError(f"Expected a call like 'name(argument=1)', got {spec!r}.")
    name = node.func.id
    if name not in table:
        near = difflib.get_close_matches(name, table, 1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"Unknown {name!r}.{hint} Choose from: {', '.join(sorted(table))}.")
    try:
        args = [_literal(a, nested) for a in node.args]
        keywords = {k.arg or "**": _literal(k.value, nested) for k in node.keywords}
    except _NotLiteral:
        raise ValueError(
            f"Expected literal arguments (numbers, text, tuples), got {spec!r}."
        ) from None
    signature = inspect.signature(table[name])
    try:
        return name, signature.bind(*args, **keywords, **more)
    except TypeError as error:
        raise ValueError(f"{spec!r}: {error}. Expected {name}{signature}.") from None


def call(
    spec: str,
    table: Mapping[str, Callable],
    *,
    nested: Mapping[str, Callable] | None = None,
    **more: Any,
) -> Any:
    """Calls an entry of a table as text says: `call("adam(1e-3)", OPTIMIZERS)`.

    Args:
      spec: a Python call with literal arguments; a bare name is a call without arguments.
      table: the names that may be called.
      nested: the names that may be called to make an argument.
      more: arguments that the program adds.

    Raises:
      ValueError: for anything but such a call, an unknown name (with the nearest known one), or
        wrong arguments.
    """
    name, bound = bind(spec, table, nested=nested, **more)
    require_types(table[name], {k: v for k, v in bound.arguments.items() if k not in more})
    return table[name](*bound.args, **bound.kwargs)


class _NotLiteral(Exception):
    """An argument that is neither a literal nor a call that is allowed."""


def _literal(node: ast.expr, nested: Mapping[str, Callable] | None) -> Any:
    if nested and isinstance(node, ast.Call | ast.Name):
        return call(ast.unparse(node), nested)
    try:
        return ast.literal_eval(node)
    except ValueError:
        raise _NotLiteral from None


def choose(field: str, spec: str, table: Mapping[str, Callable], **more: Any) -> Any:
    """`call`, whose errors name the field of the configuration.

    Args:
      field: of the configuration, for the sentence.
      spec: the call.
      table: the names that may be called.
    """
    try:
        return call(spec, table, **more)
    except (ValueError, TypeError) as error:
        raise ValueError(f"config.{field}: {error}") from None


def at_least(field: str, value: int, minimum: int) -> int:
    """The value, or a ValueError that names the field.

    Args:
      field: of the configuration, for the sentence.
      value: what it holds.
      minimum: the smallest allowed.
    """
    if type(value) is not int or value < minimum:
        raise ValueError(f"config.{field}: expected an integer >= {minimum}, got {value!r}.")
    return value


def between(field: str, value: float | int, low: float | int, high: float | int) -> float | int:
    """The value, or a ValueError that names the field.

    Args:
      field: of the configuration, for the sentence.
      value: what it holds.
      low: below every allowed value.
      high: above every allowed value.
    """
    if type(value) not in (int, float) or not low < value < high:
        raise ValueError(f"config.{field}: expected a number > {low} and < {high}, got {value!r}.")
    return value


def factories(table: Mapping[str, Any]) -> dict[str, Callable[[], Any]]:
    """A table of things as a table of functions that return them.

    Args:
      table: name -> value.
    """
    return {name: partial(lambda thing: thing, thing) for name, thing in table.items()}
