"""What the repository says about itself in several places agrees."""

import importlib.resources
import re
import tomllib
from pathlib import Path

import pytest
import yaml

import fedbrain

ROOT = Path(__file__).parents[1]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = SETTINGS["project"]
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text())
WORKFLOW = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
HOOKS = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))


def supported() -> list[str]:
    """The versions of Python that the classifiers name."""
    pattern = re.compile(r"Programming Language :: Python :: (3\.\d+)")
    return [match[1] for match in map(pattern.fullmatch, PROJECT["classifiers"]) if match]


def test_one_version():
    assert PROJECT["version"] == CITATION["version"] == fedbrain.__version__


def test_the_citation_has_what_its_format_requires():
    assert CITATION["cff-version"] == "1.2.0"
    assert CITATION["type"] == "software"
    assert {"message", "title", "authors"} <= CITATION.keys()
    for reference in CITATION["references"]:
        assert {"type", "title", "authors"} <= reference.keys()


def test_the_citation_agrees_with_the_package():
    assert CITATION["title"] == PROJECT["name"]
    assert CITATION["license"] == PROJECT["license"]
    assert CITATION["keywords"] == PROJECT["keywords"]
    assert CITATION["authors"] == PROJECT["authors"]
    assert f"https://doi.org/{CITATION['references'][0]['doi']}" in PROJECT["urls"].values()


def test_the_authors_are_those_of_the_notice():
    assert PROJECT["authors"][0]["name"] in (ROOT / "NOTICE").read_text()


def test_ci_runs_every_supported_python():
    assert WORKFLOW["jobs"]["test"]["strategy"]["matrix"]["python"] == supported()
    assert PROJECT["requires-python"] == f">={supported()[0]}"


def test_ci_runs_the_script_of_the_repository():
    commands = [step["run"] for step in WORKFLOW["jobs"]["test"]["steps"] if "run" in step]
    assert commands == ["PYTHON=python .ci/run"]
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o100


def test_hooks_are_the_tools_of_ci():
    assert [repository["repo"] for repository in HOOKS] == ["local"]
    script = (ROOT / ".ci" / "run").read_text()
    for hook in HOOKS[0]["hooks"]:
        assert hook["language"] == "system"
        assert f".venv/bin/{hook['name'].split()[0]}" in script


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.name)
def test_issue_forms_ask_for_something(path):
    form = yaml.safe_load(path.read_text())
    if path.name == "config.yml":
        return
    assert {"name", "description", "body"} <= form.keys()
    identifiers = [field["id"] for field in form["body"] if field["type"] != "markdown"]
    assert identifiers
    assert len(identifiers) == len(set(identifiers))


def test_the_package_says_that_it_is_typed():
    assert importlib.resources.files("fedbrain").joinpath("py.typed").is_file()


def test_every_file_of_the_package_is_installed():
    """An installation holds the modules and the files that the package data name."""
    named: set[Path] = set()
    for package, patterns in SETTINGS["tool"]["setuptools"]["package-data"].items():
        folder = ROOT / package.replace(".", "/")
        named.update(path for pattern in patterns for path in folder.glob(pattern))
    present = {path for path in (ROOT / "fedbrain").rglob("*") if path.is_file()}
    modules = {path for path in present if path.suffix in {".py", ".pyc"}}
    assert present - modules == named
