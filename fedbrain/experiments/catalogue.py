"""Configurations by name: `quickstart` is one of the package, `my/quickstart.py` a file."""

import ast
import difflib
import sys
from pathlib import Path

SHIPPED = Path(__file__).parents[1] / "configs"
BASES = ("__init__", "base", "grid", "study", "sweep")  # from which others start


class UsageError(ValueError):
    """A command line that cannot be understood: exit code 2."""


def names() -> list[str]:
    """The configurations of the package."""
    return sorted(path.stem for path in SHIPPED.glob("*.py") if path.stem not in BASES)


def headline(name: str) -> str:
    """The first line of what a configuration of the package says about itself.

    Args:
      name: one of `names()`.
    """
    text = (SHIPPED / f"{name}.py").read_text(encoding="utf-8")
    return (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0]


def locate(text: str) -> str:
    """The file that is meant, with the argument of `get_config` behind a colon.

    Args:
      text: a name of the package's, or a path, which ends with `.py`; `~` is the home folder.

    Raises:
      UsageError: when there is none, with the nearest name.
    """
    name, colon, argument = text.partition(":")
    if name in names():
        return f"{SHIPPED / name}.py{colon}{argument}"
    path = Path(name).expanduser()
    if path.is_file():
        return f"{path}{colon}{argument}"
    got = "a folder" if path.is_dir() else "none"
    if path.stem in names():
        hint = f"fedbrain has one of that name: write {path.stem} in its place."
    else:
        near = difflib.get_close_matches(path.stem, names(), 1)
        hint = f"Did you mean {near[0]}?" if near else f"Names are: {', '.join(names())}."
    raise UsageError(f"expected a configuration, a name or a file, got {got} at {name!r}. {hint}")


def let_import(path: str) -> None:
    """Lets a configuration import what lies beside it, or in the folder where the command is given.

    Args:
      path: of the configuration, from `locate`.
    """
    for folder in (Path(path.partition(":")[0]).parent.resolve(), Path.cwd()):
        if folder != SHIPPED and str(folder) not in sys.path:
            sys.path.append(str(folder))  # behind all libraries, so that it hides none
