"""From the words of a command line to flags."""

import re
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple, NoReturn

from absl import flags
from ml_collections import ConfigDict, config_flags

from fedbrain.cli.commands import current_command
from fedbrain.cli.help import catalogue_text, help_text
from fedbrain.cli.paths import show
from fedbrain.experiments.catalogue import UsageError, let_import, locate
from fedbrain.experiments.config_file import require_readable

CONFIG = re.compile(r"--?config(=|$)")
SITE_ARGUMENTS = (
    "Arguments: label=COLUMN or label=TABLE:COLUMN, pattern=SUFFIX, pipeline=NAME,"
    " columns.NAME=COLUMN, include=SUBJECT, exclude=SUBJECT. As in --site"
    " bern=/data/bern,label=phenotype/sdmt:score."
)


# kind of configuration -> {flag: the group of sites that it replaces}
SITE_FLAGS = {
    "experiment": {"site": "sites"},
    "grid": {"site": "first.sites", "second_site": "second.sites"},
    "sweep": {"site": "experiment.sites"},
}


# flag of `fedbrain train` -> what grids and studies have in its place
INSTEAD = {
    "site": "a study has no sites. --config.problem says which data",
    "extend": "only fedbrain train extends a run. Choose another --workdir and more rounds",
}


class ConfigFlag(NamedTuple):
    """`--config=NAME_OR_FILE`, which may be given as the first word instead."""

    kind: str  # that the command reads: experiment, grid, study or sweep
    holder: flags.FlagHolder
    sites: dict[str, flags.FlagHolder]  # group of sites -> the flag that replaces it

    @property
    def name(self) -> str:
        """`config`, as of other flags."""
        return "config"

    @property
    def value(self) -> Any:
        """The configuration, an `ml_collections.ConfigDict`; None when none was given."""
        return self.holder.value

    @property
    def stem(self) -> str:
        """Name of the file, without its ending."""
        path = flags.FLAGS["config"].config_filename  # pyright: ignore[reportAttributeAccessIssue]
        return re.sub(r"^.*/|\.py$", "", path.partition(":")[0])


def define_config(kind: str) -> ConfigFlag:
    """The flags `--config`, `--config.FIELD` and those of `SITE_FLAGS`.

    Args:
      kind: of configuration that the command reads: experiment, grid, study or sweep.
    """
    text = f"Configuration of kind {kind}: a name or a file; --config.FIELD=VALUE changes a field."
    holder = config_flags.DEFINE_config_file("config", None, text, lock_config=True)
    show("config")
    sites = {}
    for name, group in SITE_FLAGS.get(kind, {}).items():
        text = f"NAME=FOLDER[,ARGUMENT=VALUE,...]; repeated: in place of config.{group}."
        sites[group] = flags.DEFINE_multi_string(name, None, f"{text} {SITE_ARGUMENTS}")
        show(name)
    return ConfigFlag(kind, holder, sites)


def refuse(error: Exception) -> NoReturn:
    """Ends the program: the command line cannot be understood.

    Args:
      error: with one sentence.
    """
    missing = re.findall(r"Flag (--\w+) must have a value other than None", str(error))
    sentence = f"expected {' and '.join(missing)}" if missing else " ".join(str(error).split())
    end = "" if sentence[-1] in ".?" else "."
    print(f"fedbrain: {sentence}{end} Help: {current_command()} -h", file=sys.stderr)
    sys.exit(2)


def parse(word: str, config: ConfigFlag | None) -> list[str]:
    """Parses `sys.argv`. Help ends the program.

    Args:
      word: the flag whose value the first word may be; empty: words stay.
      config: where the command reads a configuration.

    Returns:
      Words that are left.
    """
    flags.DEFINE_bool("quiet", False, "Prints results and no progress.")
    show("quiet")
    try:
        wants_help = any(text in ("-h", "-help", "--help") for text in sys.argv[1:])
        argv = [text for text in sys.argv if text not in ("-h", "-help", "--help")]
        sys.argv = with_config_first(name_word(argv, word) if word else argv, config)
        if wants_help:
            print(help_text(config and config.kind, _config_path(sys.argv)), end="")
            sys.exit(0)
        if config and word == "config":
            _require_config(config.kind)
        _refuse_flags_of_train(config)
        left = flags.FLAGS(sys.argv)[1:]
        if config:
            replace_sites(config)
        return left
    except (flags.Error, UsageError) as error:
        refuse(error)
    except ValueError as error:
        sys.exit(f"fedbrain: {error}")


def _refuse_flags_of_train(config: ConfigFlag | None) -> None:
    """Says what grids and studies have in the place of a flag of experiments."""
    others = INSTEAD if config and config.kind != "experiment" else {}
    for name, instead in others.items():
        given = any(re.match(rf"--?{name}(=|$)", text) for text in sys.argv)
        if given and name not in flags.FLAGS:
            raise UsageError(f"--{name}: {instead}")


def _require_config(kind: str) -> None:
    """Lists the configurations when nothing was given."""
    if len(sys.argv) == 1:
        print(catalogue_text(kind), end="")
        sys.exit(0)
    if not _config_path(sys.argv):
        raise UsageError(f"expected a configuration. {current_command()} lists them")


def name_word(argv: list[str], flag: str) -> list[str]:
    """The first word becomes the value of a flag: `DIR` becomes `--workdir=DIR`.

    Args:
      argv: the command line.
      flag: whose value it is.

    Raises:
      UsageError: for a second word, or when the flag is there too.
    """
    places = list(words(argv))
    if not places:
        return argv
    first, *others = places
    if others or any(re.match(rf"--?{flag}(=|$)", text) for text in argv):
        raise UsageError(
            f"expected one {flag} and flags, got {[argv[k] for k in places]}"
            + ("" if others else f" and --{flag}")
        )
    return [*argv[:first], f"--{flag}={argv[first]}", *argv[first + 1 :]]


def words(argv: list[str]) -> Iterator[int]:
    """Places of what is neither a flag nor the value of one.

    Args:
      argv: the command line, with the name of the program.
    """
    is_value = False
    for place, text in enumerate(argv[1:], 1):
        if not is_value and not text.startswith("-"):
            yield place
        name = text.lstrip("-")
        known = name in flags.FLAGS and not flags.FLAGS[name].boolean
        takes_value = known or name.startswith("config.")
        is_value = not is_value and text.startswith("-") and "=" not in text and takes_value


def with_config_first(argv: list[str], config: ConfigFlag | None) -> list[str]:
    """The configuration as a path, in front of the flags that change it; it is read and checked.

    Args:
      argv: the command line.
      config: where the command reads a configuration.
    """
    places = [k for k, text in enumerate(argv) if CONFIG.match(text)]
    if not config or not places:
        return argv
    first = places[0]
    value, end = argv[first].partition("=")[2], first + 1
    if "=" not in argv[first] and end < len(argv):
        value, end = argv[end], end + 1
    path = locate(value)
    let_import(path)
    rest = [*argv[1:first], *argv[end:]]
    require_readable(path, config.kind, rest)
    return [argv[0], f"--config={path}", *rest]


def _config_path(argv: list[str]) -> str:
    """The configuration that was given, or ""."""
    return next((text.partition("=")[2] for text in argv if CONFIG.match(text)), "")


def replace_sites(config: ConfigFlag) -> None:
    """The sites of `--site` take the place of those in the configuration.

    Args:
      config: whose.

    Raises:
      UsageError: see `read_sites`; or when the group is given by another flag, or by rows of a grid
        that have sites of their own.
    """
    for group, flag in config.sites.items():
        if not flag.value:
            continue
        from fedbrain.experiments.site_flags import read_sites  # the data room: half a second

        if any(re.match(rf"--?config\.{re.escape(group)}\b", text) for text in sys.argv):
            raise UsageError(f"expected --{flag.name} or --config.{group}, got both")
        value: Any = config.value
        rows = [name for name, fields in value.get("rows", {}).items() if "sites" in fields]
        if rows and group == "second.sites":
            raise UsageError(
                f"--{flag.name}: the rows {', '.join(rows)} have sites of their own. Change them in"
                " a configuration file"
            )
        *outer, last = group.split(".")
        for name in outer:
            value = value[name]
        with value.unlocked():
            value[last] = ConfigDict(read_sites(flag.value, flag.name))
