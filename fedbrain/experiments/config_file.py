"""What is wrong with a configuration file, or with flags that change its fields, in a sentence."""

import difflib
import re
import runpy
from collections.abc import Iterator, Sequence
from pathlib import Path

from ml_collections import ConfigDict

# the field that only this kind of configuration has -> (kind, its command)
KINDS = {
    "rows": ("grid", "fedbrain.grid"),
    "methods": ("study", "fedbrain.compare"),
    "regimes": ("experiment", "fedbrain.main"),
}
OPEN = ("sites", "rows", "methods", "attacks")  # groups whose names are the user's


def read_file(path: str) -> ConfigDict:
    """What `get_config()` of a file returns.

    Args:
      path: of the file; text behind a colon is an argument of `get_config`.

    Raises:
      ValueError: naming the file, and the line where Python stopped.
    """
    file, *argument = path.split(":", 1)
    if not Path(file).is_file():
        found = "a folder" if Path(file).is_dir() else "none"
        raise ValueError(f"--config: expected a configuration file {file!r}, got {found}.")
    try:
        config = runpy.run_path(file)["get_config"](*argument)
    except SyntaxError as error:
        raise ValueError(f"{error.filename}, line {error.lineno}: {error.msg}.") from None
    except Exception as error:
        raise ValueError(f"{file}: {type(error).__name__}: {error}") from None
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
      ValueError: with the nearest field, or with what to write into the file.
    """
    known = list(fields(config))
    if re.sub(r"\[.*", "", field) in known:
        return
    group, _, name = field.rpartition(".")
    if group in OPEN and group in known:
        raise ValueError(
            f"--config.{field}: a flag changes what config.{group} has, and adds nothing. Write"
            f" config.{field} = ... in a configuration file ({file} or a copy of it)."
        )
    same = [other for other in known if other.rpartition(".")[2] == name]
    near = same or difflib.get_close_matches(field, known, 1)
    hint = f"Did you mean config.{near[0]}?" if near else f"Choose from: {', '.join(config)}."
    raise ValueError(f"--config.{field}: {file} has no such field. {hint}")


def require_kind(config: ConfigDict, kind: str, file: str) -> None:
    """Refuses the configuration of another command.

    Args:
      config: from the file.
      kind: that this command reads: experiment, grid or study.
      file: path of the configuration, for the sentence.

    Raises:
      ValueError: naming the command that reads it.
    """
    found = [named for field, named in KINDS.items() if field in config]
    if found and found[0][0] != kind:
        other, command = found[0]
        raise ValueError(
            f"{file}: expected a configuration of kind {kind}, got one of kind {other}. Run"
            f" python -m {command} --config={file}."
        )


def require_readable(argv: Sequence[str], kind: str) -> None:
    """Refuses a file that cannot be read, one of another command, and flags of unknown fields.

    Args:
      argv: the command line.
      kind: of configuration that this command reads.

    Raises:
      ValueError: one sentence.
    """
    line = " ".join(["", *argv])
    path = re.search(r" --?config[= ](\S+)", line)
    if not path:
        return
    config = read_file(path[1])
    require_kind(config, kind, path[1])
    for argument in argv:
        field = re.match(r"--?(?:no)?config\.([^=]+)", argument)
        if field:
            require_field(config, field[1], path[1])
