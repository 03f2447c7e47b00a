"""Every `fedbrain ...` and `python -m ...` in a document, in the header of a configuration or of a
command parses: the command, its flags, the configuration, its fields and the calls in them exist.
Nothing is trained.
"""

import ast
import re
import shlex
import sys
from collections.abc import Iterator, Mapping
from functools import reduce
from pathlib import Path
from typing import Any

import pytest
from absl import app, flags
from ml_collections import ConfigDict

from fedbrain.cli import entry
from fedbrain.cli.commands import COMMANDS as NAMES
from fedbrain.configs import base
from fedbrain.experiments import config as reader
from fedbrain.experiments.baselines import BASELINES
from fedbrain.experiments.config import read_experiment
from fedbrain.experiments.starting_point import INITIALS
from fedbrain.experiments.study_choices import read_task
from fedbrain.experiments.sweep import trials
from tests.programs import no_flags, run_as_main

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *ROOT.glob("docs/*.md"), *ROOT.glob("launch/**/*.md")]
PAGES += [ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", ROOT / "benchmarks/README.md"]
CONFIGS = sorted(ROOT.glob("configs/*.py"))
MODULES = [ROOT / f"{row.module.replace('.', '/')}.py" for row in NAMES.values()]
START = re.compile(r"(?:\S*python -m |(?:^|&& |\S*/)(fedbrain ))(?=[a-z])")
pytestmark = pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")  # absl's


def blocks(text: str) -> Iterator[str]:
    """Shell blocks, with continued lines joined and `$NAME` replaced."""
    for block in re.findall(r"```(?:sh|bash)\n(.*?)```", text, re.DOTALL):
        block = re.sub(r"\\\n\s*", "", block)
        for name, value in re.findall(r'^([A-Z]+)="(.*)"$', block, re.MULTILINE):
            block = block.replace(f"${name}", value)
        yield block


def commands(path: Path) -> list[str]:
    """What follows `python -m`, or `fedbrain ...`, in a document or in the docstring of a file."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        header = re.sub(r"\\\n\s*", "", ast.get_docstring(ast.parse(text)) or "")
        lines = [line.strip() for line in header.splitlines() if line.startswith("    ")]
        return [line for line in map(without_python, lines) if line]
    shown = [line for block in blocks(text) for line in block.splitlines()]
    sentences = re.sub(r"```.*?```", "", text, flags=re.S)
    shown += re.findall(r"`((?:fedbrain |[^`\n]*python -m )[^`\n]+)`", sentences)
    return [line for line in map(without_python, shown) if line]


def without_python(line: str) -> str:
    """`MODULE ...` or `fedbrain COMMAND ...` of a line; empty: neither is in it."""
    start = START.search(line)
    return "" if start is None else (start[1] or "") + line[start.end() :]


def module_of(words: list[str]) -> list[str]:
    """The words with the module in place of `fedbrain COMMAND`."""
    if words[0] != "fedbrain":
        return words
    assert words[1] in NAMES, words
    return [NAMES[words[1]].module, *words[2:]]


def arguments(command: str) -> list[str]:
    """Words of a command, without a comment or a second command."""
    words = shlex.split(command, comments=True)
    ends = [k for k, word in enumerate(words) if word in ("&&", "|", ";", ">")]
    return words[: min(ends, default=len(words))]


def optional(words: list[str]) -> list[str]:
    """The words without brackets, `[--output=FOLDER]`, and with a configuration for CONFIG."""
    plain = [re.sub(r"^\[|\]$", "", word) for word in words]
    plain = [re.sub(r"=N$", "=1", word) for word in plain]
    plain = [
        re.sub(r"^(--config=)?([A-Z]+\.py|CONFIG|mine\.py|\.\.\.)$", r"\1quickstart", w)
        for w in plain
    ]
    plain = [re.sub(r"^my_study\.py$", "aggregation_study", word) for word in plain]
    return [word for word in plain if word not in ("--config.FIELD=VALUE", "--FLAG=VALUE")]


def parse(words: list[str], monkeypatch) -> ConfigDict | None:
    """Runs a module up to the point where its flags are parsed; its configuration."""
    module, *rest = module_of(words)

    def run(main: Any) -> None:
        assert flags.FLAGS(sys.argv)[1:] == []

    monkeypatch.setattr(app, "run", run)  # of benchmarks and tools
    monkeypatch.setattr(entry, "in_one_sentence", lambda work, interrupted: None)
    monkeypatch.setattr(sys, "argv", [module, *optional(rest)])
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, module, raising=False)
    with no_flags():
        run_as_main(module)
        return flags.FLAGS["config"].value if "config" in flags.FLAGS else None


def require_readable(config: ConfigDict) -> None:
    """Every call in the configuration is one that exists."""
    if "problem" in config:
        read_task(config)
    elif "first" in config:
        read_experiment(config.first)
        read_experiment(config.second)
    elif "experiment" in config:
        for one in trials(config, Path("runs")):
            read_experiment(one.config)
    else:
        read_experiment(config)


COMMANDS = sorted({(p.name, c) for p in [*PAGES, *CONFIGS, *MODULES] for c in commands(p)})


def test_commands_are_found():
    assert len(COMMANDS) > 40


@pytest.mark.parametrize(("page", "command"), COMMANDS, ids=[f"{p}: {c}"[:60] for p, c in COMMANDS])
def test_a_documented_command_parses(page, command, monkeypatch):
    monkeypatch.chdir(ROOT)
    words = module_of(arguments(command))
    if words[0] == "pytest":
        files = [word for word in words if word.startswith("tests/")]
        assert all((ROOT / file).exists() for file in files), files
        return
    if words[0] == "tools.pages":  # tests/test_pages.py has its argument
        assert words[1:] in ([], ["--check"])
        return
    path = ROOT / words[0].replace(".", "/")
    assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file(), words[0]
    if len(words) == 1:
        return  # a command that a sentence names
    try:
        config = parse(words, monkeypatch)
    except ImportError as error:
        pytest.skip(f"needs an extra: {error}")
    if config is not None:
        require_readable(config)


FIELDS = sorted(
    {
        (path.name, field, value.strip("\"'") if value[0] != "(" else value)
        for path in PAGES
        if path.name != "CONTRIBUTING.md"  # its rule is added by another test
        for field, value in re.findall(
            r"`--config\.([\w.]+)=(\"(?:[^\"\\`]|\\.)*\"|[^`\s\"]+)",
            re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.S),
        )
    }
)


@pytest.mark.parametrize(
    ("page", "field", "value"), FIELDS, ids=[f"{p}: {f}" for p, f, _ in FIELDS]
)
def test_a_field_in_a_sentence_is_one(page, field, value):
    config = base.get_config()
    *path, name = field.split(".")
    parent = reduce(getattr, path, config)
    old = parent.get(name, "")
    parent[name] = value if isinstance(old, str) else ast.literal_eval(value.replace('\\"', '"'))
    read_experiment(config)


def test_the_page_of_fields_has_every_choice():
    """Those of rules, links, attacks and algorithms have a page of their own."""
    elsewhere = ("AGGREGATORS", "KEEPING", "ATTACKS", "VARIANTS")
    tables = {k: v for k, v in vars(reader).items() if k.isupper() and isinstance(v, Mapping)}
    tables |= {"INITIALS": INITIALS, "BASELINES": BASELINES}
    text = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
    shown = set(re.findall(r"`(\w+)[(`]", text))
    for table, names in tables.items():
        assert table in elsewhere or set(names) <= shown, (table, set(names) - shown)


def test_links_between_documents_lead_somewhere():
    for path in PAGES:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text(encoding="utf-8")):
            assert (path.parent / target).exists(), f"{path.name}: {target}"


def test_files_that_documents_name_exist():
    pattern = r"(?<![\w/.-])(?:configs|fedbrain|docs|tests|tools|benchmarks|launch)/[\w/]+\.\w+"
    for path in PAGES:
        if path.name == "CONTRIBUTING.md":  # its files are to be written
            continue
        for name in re.findall(pattern, path.read_text(encoding="utf-8")):
            known = (ROOT / name).is_file() or name == "fedbrain/audit.jsonl"  # of a site's kit
            assert known, f"{path.name}: {name}"
