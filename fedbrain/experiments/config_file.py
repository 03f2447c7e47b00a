"""What is wrong with a configuration file, or with flags that change its fields, in a sentence."""

import difflib
import re
import runpy
from collections.abc import Iterator, Sequence
from pathlib import Path

from ml_collections import ConfigDict

from fedbrain.configs import base, grid, study, sweep
from fedbrain.experiments.catalogue import SHIPPED, UsageError

# the field that only this kind of configuration has -> (kind, the command that reads it)
KINDS = {
    "rows": ("grid", "fedbrain grid"),
    "experiment": ("sweep", "fedbrain sweep"),  # which has methods, too
    "methods": ("study", "fedbrain compare"),
    "regimes": ("experiment", "fedbrain train"),
}
STARTS = {
    "experiment": base,
    "grid": grid,
    "study": study,
    "sweep": sweep,
}  # every kind has these fields
# groups whose names are the user's
OPEN = {"sites", "rows", "methods", "attacks", "choices", "published", "fields"}


def read_file(path: str) -> ConfigDict:
    """What `get_config()` of a file returns.

    Args:
      path: of the file; text behind a colon is an argument of `get_config`.

    Raises:
      ValueError: naming the file, and the line where Python stopped.
    """
    file, *argument = path.split(":", 1)
    try:
        get_config = runpy.run_path(file).get("get_config")
        config = get_config(*argument) if get_config else None
    except SyntaxError as error:
        raise ValueError(f"{error.filename}, line {error.lineno}: {error.msg}.") from None
    except ModuleNotFoundError as error:
        hint = " Write fedbrain.configs for it." if error.name == "configs" else ""
        raise ValueError(f"{file}: ModuleNotFoundError: {error}.{hint}") from None
    except Exception as error:
        what = re.sub(r"\s+", " ", str(error)).rstrip(".")
        raise ValueError(f"{file}: {type(error).__name__}: {what}.") from None
    if get_config is None:
        raise ValueError(f"{file}: expected a function get_config() in it, got none.")
    if not isinstance(config, ConfigDict):
        raise ValueError(f"{file}: expected get_config() to return a ConfigDict, got {config!r}.")
    return config


def fields(config: ConfigDict, prefix: str = "") -> Iterator[str]:
    """Names of all fields and groups, with dots.

    Args:
      config: whose.
      prefix: of the names.
    """
    for name, value in config.items():
        yield f"{prefix}{name}"
        if isinstance(value, ConfigDict):
            yield from fields(value, f"{prefix}{name}.")


def require_field(config: ConfigDict, field: str, file: str) -> None:
    """Refuses a flag for a field that the configuration does not have.

    Args:
      config: from the file.
      field: with dots.
      file: path of the configuration, for the sentence.

    Raises:
      UsageError: with the nearest field, or with what to write instead.
    """
    known = list(fields(config))
    if re.sub(r"\[.*", "", field) in known:
        return
    group, _, name = field.rpartition(".")
    if group in OPEN and group in known:
        instead = f"--site {name}=FOLDER, or " if field == f"sites.{name}" else ""
        raise UsageError(
            f"--config.{field}: a flag changes what config.{group} has, and adds nothing. Write"
            f" {instead}config.{field} = ... in a configuration file ({file} or a copy of it)."
        )
    same = [other for other in known if other.rpartition(".")[2] == name]
    near = same or difflib.get_close_matches(field, known, 1)
    hint = f"Did you mean config.{near[0]}?" if near else f"Choose from: {', '.join(config)}."
    raise UsageError(f"--config.{field}: {file} has no such field. {hint}")


def require_known(config: ConfigDict, kind: str, file: str) -> None:
    """Refuses a configuration with a field that nothing would read, or without one that is read.

    Args:
      config: from the file.
      kind: of configuration that this command reads.
      file: path of the configuration, for the sentence.

    Raises:
      ValueError: naming the field.
    """
    start = STARTS[kind].get_config()
    known, present = (
        [field for field in fields(c) if not OPEN & {*field.split(".")[:-1]}]
        for c in (start, config)
    )
    for field in present:
        if field not in known:
            near = difflib.get_close_matches(field, known, 1)
            hint = f" Did you mean config.{near[0]}?" if near else ""
            raise ValueError(f"{file}: config.{field}: there is no such field.{hint}")
    missing = [field for field in known if field not in present]
    if missing:
        raise ValueError(
            f"{file}: expected a field config.{missing[0]}, got none. Let get_config() begin with"
            f" {STARTS[kind].__name__}.get_config()."
        )


def kind_of(config: ConfigDict) -> tuple[str, str]:
    """(kind, the command that reads it) of a configuration; empty for one of no kind.

    Args:
      config: from a file.
    """
    return next((kind for field, kind in KINDS.items() if field in config), ("", ""))


def require_kind(config: ConfigDict, kind: str, file: str) -> None:
    """Refuses the configuration of another command.

    Args:
      config: from the file.
      kind: that this command reads: a key of `STARTS`.
      file: path of the configuration, for the sentence.

    Raises:
      UsageError: naming the command that reads it.
    """
    other, command = kind_of(config)
    if other not in ("", kind):
        raise UsageError(
            f"{file}: expected a configuration of kind {kind}, got one of kind {other}. Run"
            f" {command} {file}."
        )


def require_readable(path: str, kind: str, argv: Sequence[str]) -> None:
    """Refuses a file that cannot be read, one of another command, and flags of unknown fields.

    Args:
      path: of the configuration, from `locate`.
      kind: of configuration that this command reads.
      argv: the command line.

    Raises:
      ValueError: one sentence; a UsageError where the command line is wrong and not the file.
    """
    config = read_file(path)
    file = Path(path.partition(":")[0])
    shown = file.stem if file.parent == SHIPPED else str(file)
    require_kind(config, kind, shown)
    require_known(config, kind, shown)
    for argument in argv:
        field = re.match(r"--?(?:no)?config\.([^=]+)", argument)
        if field:
            require_field(config, field[1], shown)
