"""The journey and the wrong inputs by the command of a wheel, installed into an environment of its
own, from another folder.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.newcomer import broken, mine, trees
from tests.newcomer.journey import STEPS
from tests.newcomer.wrong import WRONG

ROOT = Path(__file__).parents[2]
FILES = ("pyproject.toml", "README.md", "LICENSE", "NOTICE")


@pytest.fixture(scope="module")
def command(tmp_path_factory) -> Path:
    """`fedbrain` of a new environment; nothing in it comes from the checkout but the wheel."""
    folder = tmp_path_factory.mktemp("environment")
    source, environment = folder / "source", folder / "venv"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "fedbrain", source / "fedbrain", ignore=ignored)
    for name in FILES:
        shutil.copy(ROOT / name, source)
    python = environment / "bin/python"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    pip = [python, "-m", "pip", "install", "-q", source, "-c", ROOT / "constraints.txt"]
    subprocess.run(pip, check=True)
    return environment / "bin/fedbrain"


@pytest.mark.slow
def test_the_command_of_a_wheel(command, tmp_path, monkeypatch):
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")

    def fedbrain(words):
        words = words.split() if isinstance(words, str) else words
        words = [command, *map(str, words)]
        return subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)

    trees.write_trees(tmp_path / "data")
    shutil.copy(mine.__file__, tmp_path / "mine.py")
    for step, (words, text) in STEPS.items():
        done = fedbrain(words)
        assert done.returncode == 0, (step, done.stderr)
        assert text in done.stdout, step
    broken.write_all(tmp_path)
    for case, (words, code, texts) in WRONG.items():
        done = fedbrain(words)
        assert done.returncode == code, (case, done.stderr)
        [sentence] = done.stderr.splitlines()
        assert all(text in sentence for text in texts), (case, sentence)
