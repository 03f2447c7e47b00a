"""What the fields of a configuration mean: the comments at them in the file that defines them."""

import ast
import io
import tokenize
from collections.abc import Iterator
from functools import cache

from fedbrain.experiments.catalogue import SHIPPED


@cache
def meanings(name: str) -> dict[str, str]:
    """Field, with dots -> its meaning.

    Args:
      name: of a configuration of the package from which others start: base, grid or study.

    >>> meanings("base")["splits.valid"]
    'share of subjects for validation'
    """
    text = (SHIPPED / f"{name}.py").read_text(encoding="utf-8")
    comments = {
        token.start[0]: token.string.removeprefix("#").strip()
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type == tokenize.COMMENT and not token.line[: token.start[1]].strip()
    }
    return {
        field: sentence
        for field, line in _fields(ast.parse(text))
        if (sentence := " ".join(_above(comments, line)))
    }


def _above(comments: dict[int, str], line: int) -> list[str]:
    """The comment that ends right above a line."""
    first = line
    while first - 1 in comments:
        first -= 1
    return [comments[k] for k in range(first, line)]


def _fields(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """(field, line) of `config.NAME = ...`, and of the keys of a dictionary in it."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Assign) or not isinstance(node.targets[0], ast.Attribute):
            continue
        name = ast.unparse(node.targets[0]).removeprefix("config.")
        yield name, node.lineno
        if isinstance(node.value, ast.Call) and node.value.args:
            keys = _keys(node.value.args[0])
            yield from ((f"{name}.{key}", line) for key, line in keys if line > node.lineno)


def _keys(node: ast.expr) -> Iterator[tuple[str, int]]:
    if isinstance(node, ast.Dict):
        for key in node.keys:
            if isinstance(key, ast.Constant):
                yield str(key.value), key.lineno
