"""A wheel of the project holds everything: it is built, installed, and used from another folder."""

import importlib.metadata
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = ("pyproject.toml", "README.md", "LICENSE", "NOTICE")


def run(*words, cwd, **environment):
    return subprocess.run(
        [sys.executable, *map(str, words)],
        cwd=cwd,
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )


def can_build() -> bool:
    """Whether setuptools is here, and new enough; otherwise pip fetches it."""
    try:
        return int(importlib.metadata.version("setuptools").split(".")[0]) >= 77
    except importlib.metadata.PackageNotFoundError:
        return False


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """A folder with the installed wheel; the build leaves nothing in the checkout."""
    source = tmp_path_factory.mktemp("source")
    shutil.copytree(
        ROOT / "fedbrain", source / "fedbrain", ignore=shutil.ignore_patterns("__pycache__")
    )
    for name in FILES:
        shutil.copy(ROOT / name, source)
    target = source / "installed"
    options = ["--no-deps", "--no-compile", *(["--no-build-isolation"] if can_build() else [])]
    done = run("-m", "pip", "install", "-q", *options, "--target", target, source, cwd=source)
    assert done.returncode == 0, done.stderr
    return target


def test_every_file_is_in_the_wheel(installed):
    def files(folder: Path) -> set[str]:
        paths = (p.relative_to(folder) for p in folder.rglob("*") if p.is_file())
        return {path.as_posix() for path in paths if "__pycache__" not in path.parts}

    assert files(installed / "fedbrain") == files(ROOT / "fedbrain")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--version"], 0, "fedbrain "),
        (["train"], 0, "  quickstart "),
        (["train", "quickstart", "-h"], 0, "--config.rounds=30"),
        (["train", "brain_age", "--site", "a=nowhere"], 1, "sites.a: nowhere: expected"),
    ],
)
def test_the_command_works_from_another_folder(installed, tmp_path, arguments, code, message):
    command = installed / "bin" / "fedbrain"
    done = run(command, *arguments, cwd=tmp_path, PYTHONPATH=str(installed))
    assert done.returncode == code, done.stderr
    assert message in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())
