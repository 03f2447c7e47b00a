"""Sites as a user gives them, in Python or on the command line: `--site
bern=/data/bern,label=phenotype/sdmt:score,pipeline=hdbet`.

A folder or a value in quotes may hold commas; a backslash makes the next character an ordinary one.
"""

import difflib
import inspect
import re
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from fedbrain.data.sites import bids
from fedbrain.experiments.catalogue import UsageError

ARGUMENTS = [name for name in inspect.signature(bids).parameters if name != "root"]
CALL = re.compile(r"[a-z]+\(.*\)", re.DOTALL)
SEVERAL = ("include", "exclude")  # may be given more than once
Site = str | Path | Mapping[str, Any]  # in Python: a folder or a call; the arguments of `bids`


def site_call(name: str, site: Site) -> str:
    """A site as a configuration names it.

    Args:
      name: of the site.
      site: folder of a BIDS tree; or the arguments of `bids` (`root`, `label`, ...); or a call such
        as `"synthetic('amber', subjects=30)"`.

    Raises:
      ValueError: when there is no folder.

    >>> site_call("lyon", {"root": "/data/lyon", "label": "phenotype/sdmt:score"})
    "bids('/data/lyon', label='phenotype/sdmt:score')"
    """
    if isinstance(site, str) and CALL.fullmatch(site.strip()):
        return site
    arguments = dict(site) if isinstance(site, Mapping) else {"root": site}
    root = str(arguments.pop("root", ""))
    if not root:
        raise ValueError(f"sites.{name}: expected the folder of a BIDS tree as 'root', got none.")
    return f"bids({', '.join([repr(root), *(f'{k}={v!r}' for k, v in arguments.items())])})"


def read_sites(texts: Iterable[str], flag: str = "site") -> dict[str, str]:
    """Sites as `config.sites` holds them.

    Args:
      texts: `NAME=FOLDER[,ARGUMENT=VALUE]...` with the arguments of `bids`, or `NAME=CALL` with the
        call of another source.
      flag: that the texts are of, for sentences.

    Raises:
      UsageError: for text of another form, an unknown argument, or a name that comes twice.

    >>> read_sites(["bern=/data/bern,label=sdmt:score", "lyon=synthetic('amber', subjects=9)"])
    {'bern': "bids('/data/bern', label='sdmt:score')", 'lyon': "synthetic('amber', subjects=9)"}
    """
    sites: dict[str, str] = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator or not value:
            raise UsageError(f"--{flag}: expected NAME=FOLDER, got {text!r}.")
        if not re.fullmatch(r"\w[\w-]*", name):
            raise UsageError(
                f"--{flag}: expected a name of letters, digits, - and _, got {name!r} in {text!r}."
            )
        if name in sites:
            raise UsageError(f"--{flag}: expected every name once, got {name!r} twice.")
        sites[name] = value if CALL.fullmatch(value) else _call_of_bids(f"--{flag} {name}", value)
    return sites


def _call_of_bids(where: str, text: str) -> str:
    """`FOLDER,label=age` as `bids('FOLDER', label='age')`."""
    folder, *rest = _split(where, text)
    values: dict[str, object] = {}
    for part in rest:
        name, separator, value = part.partition("=")
        name, _, column = name.strip().partition(".")
        if not separator:
            raise UsageError(
                f"{where}: expected ARGUMENT=VALUE after a comma, got {part!r}. A value with"
                " a comma needs quotes that the shell leaves: 'include=\"sub-01,sub-02\"'."
            )
        _require_argument(where, name, column)
        if name == "columns":
            values[name] = {**values.get(name, {}), column: value}  # pyright: ignore[reportGeneralTypeIssues]
        elif name in SEVERAL:
            chosen = tuple(one for one in re.split(r"[,\s]+", value) if one)
            values[name] = (*values.get(name, ()), *chosen)  # pyright: ignore[reportGeneralTypeIssues]
        elif name in values:
            raise UsageError(f"{where}: expected {name} once, got it twice.")
        else:
            values[name] = value
    arguments = [repr(folder), *(f"{name}={value!r}" for name, value in values.items())]
    return f"bids({', '.join(arguments)})"


def _split(where: str, text: str) -> list[str]:
    """The parts between commas, without quotes."""
    lexer = shlex.shlex(text, posix=True)
    lexer.whitespace, lexer.whitespace_split, lexer.commenters = ",", True, ""
    try:
        parts = list(lexer)
    except ValueError as error:  # "No closing quotation"
        raise UsageError(
            f"{where}: {str(error).lower()} in {text!r}; a quote that is part of a name"
            " needs a backslash."
        ) from None
    if not parts or ("=" in parts[0] and parts[0].partition("=")[0] in ARGUMENTS):
        raise UsageError(f"{where}: expected a folder first, got {text!r}.")
    return parts


def _require_argument(where: str, name: str, column: str) -> None:
    """Refuses what `bids` does not take."""
    if name not in ARGUMENTS:
        near = difflib.get_close_matches(name.lower(), ARGUMENTS, 1)
        hint = f"Did you mean {near[0]}?" if near else f"Choose from: {', '.join(ARGUMENTS)}."
        raise UsageError(f"{where}: unknown argument {name!r}. {hint}")
    if (name == "columns") != bool(column):
        raise UsageError(f"{where}: expected columns.NAME=COLUMN, as in columns.age=Age.")
