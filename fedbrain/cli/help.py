"""What `-h` prints: what a command does, its flags, the fields of its configuration."""

import shlex
import sys
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from absl import flags
from ml_collections import ConfigDict

from fedbrain.cli.commands import current_command
from fedbrain.experiments.catalogue import SHIPPED, headline, names
from fedbrain.experiments.config_file import kind_of, read_file
from fedbrain.experiments.field_meanings import meanings

BASES = {
    "experiment": "base",
    **{kind: kind for kind in ("grid", "study", "sweep")},
}  # kind -> where its fields are


def help_text(kind: str | None, path: str) -> str:
    """Everything about the command that runs.

    Args:
      kind: of configuration that it reads; None: it reads none.
      path: of the configuration that was given; empty: none was.
    """
    about = (sys.modules["__main__"].__doc__ or "").strip()
    text = f"{about}\n\nFlags:\n{''.join(_flag_lines())}"
    if kind is None:
        return text
    whose = f"Fields of {Path(path.partition(':')[0]).stem}, with its values:"
    if not path:
        whose = f"Fields, with their defaults (those of another: {current_command()} NAME -h):"
    values = read_file(path or str(SHIPPED / f"{BASES[kind]}.py"))
    return f"{text}\n{whose}\n{''.join(_field_lines(values, meanings(BASES[kind])))}"


def _flag_lines() -> Iterator[str]:
    known = {flag.name: flag for flag in flags.FLAGS.get_key_flags_for_module(sys.argv[0])}
    for name, flag in sorted(known.items(), key=lambda row: row[0] == "quiet"):
        default = "" if flag.default in (None, "", [], False) else f" [{flag.default}]"
        text = (flag.help or "").partition(";\n")[0]  # absl adds lines of its own
        yield _entry(f"--{name}" + ("" if flag.boolean else "=..."), f"{text}{default}")


def _field_lines(config: ConfigDict, known: Mapping[str, str]) -> Iterator[str]:
    values = dict(leaves(config, known))
    others = sorted(values.keys() - known.keys())
    for name in [*(name for name in known if name in values), *others]:
        value = values[name]
        if isinstance(value, ConfigDict):  # a group that has one meaning
            nested = any(isinstance(one, ConfigDict) for one in value.values())
            shown = ", ".join(map(str, value)) if nested else value.to_dict()
            head = f"config.{name}: {shown or 'none'}"
        else:
            head = f"--config.{name}={_quoted(str(value))}"
        yield _entry(head, known.get(name, ""))


def _quoted(text: str) -> str:
    """As a shell takes it."""
    plain = not any(letter in text for letter in '"$`\\!')
    return f'"{text}"' if plain and ("'" in text or not text) else shlex.quote(text)


def leaves(
    config: ConfigDict, known: Mapping[str, str], prefix: str = ""
) -> Iterator[tuple[str, Any]]:
    """(field with dots, value); a group with a meaning of its own counts as a field.

    Args:
      config: whose.
      known: field -> its meaning.
      prefix: of the names.
    """
    for name, value in config.items():
        if isinstance(value, ConfigDict) and f"{prefix}{name}" not in known:
            yield from leaves(value, known, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _entry(head: str, text: str) -> str:
    """A line, and sentences below it."""
    lines = textwrap.wrap(text.replace("`", ""), 92, break_on_hyphens=False)
    return "".join([f"  {head}\n", *(f"      {line}\n" for line in lines)])


def catalogue_text(kind: str) -> str:
    """The configurations of the package that a command reads, a line each.

    Args:
      kind: that it reads.
    """
    rows = [n for n in names() if kind_of(read_file(str(SHIPPED / f"{n}.py")))[0] == kind]
    lines = [f"  {name:20} {headline(name)}\n" for name in rows]
    command = current_command()
    return (
        f"{command} NAME, or {command} FILE.py, where NAME is one of:\n"
        f"{''.join(lines)}Flags and fields: {command} -h\n"
    )
