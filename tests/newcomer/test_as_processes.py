"""The journey and the wrong inputs by the command of an installed wheel, from another folder."""

import shutil

import pytest

from tests.newcomer import broken, mine, trees
from tests.newcomer.journey import STEPS
from tests.newcomer.wrong import WRONG
from tests.test_wheel import installed, run

__all__ = ["installed"]  # a fixture


@pytest.mark.slow
def test_the_command_of_a_wheel(installed, tmp_path):
    def fedbrain(words):
        words = words.split() if isinstance(words, str) else words
        command = installed / "bin" / "fedbrain"
        return run(command, *words, cwd=tmp_path, PYTHONPATH=str(installed), JAX_PLATFORMS="cpu")

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
