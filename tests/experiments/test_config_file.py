"""Mistakes in a configuration file and in its flags: one sentence each."""

import pytest

from fedbrain.experiments.config_file import require_readable

QUICK = "configs/quickstart.py"


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        (["--config=none.py"], "experiment", "expected a configuration file 'none.py', got none"),
        (["--config=configs"], "experiment", "file 'configs', got a folder"),
        (["--config", "configs/paper_synthetic.py"], "experiment", "python -m fedbrain.grid"),
        (["--config=configs/aggregation_study.py"], "grid", "python -m fedbrain.compare"),
        ([f"--config={QUICK}"], "study", "python -m fedbrain.main"),
        (
            [f"--config={QUICK}", "--config.foo=1"],
            "experiment",
            "no such field. Choose from: algorithm",
        ),
        ([f"--config={QUICK}", "--config.round=1"], "experiment", r"mean config\.rounds\?"),
        (
            [f"--config={QUICK}", "--config.batch_size=1"],
            "experiment",
            r"config\.client\.batch_size",
        ),
        ([f"--config={QUICK}", "--config.sites.c=bids('x')"], "experiment", r"config\.sites\.c = "),
    ],
)
def test_a_mistake_is_one_sentence(arguments, kind, message):
    with pytest.raises(ValueError, match=message):
        require_readable(["main", *arguments], kind)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def get_config(:\n", "wrong.py, line 1: invalid syntax"),
        ("import nothing_of_that_name\n", "wrong.py: ModuleNotFoundError"),
        ("x = 1\n", "wrong.py: KeyError: 'get_config'"),
        ("def get_config():\n    pass\n", r"get_config\(\) to return a ConfigDict, got None"),
    ],
)
def test_a_file_that_python_cannot_read(tmp_path, text, message):
    (tmp_path / "wrong.py").write_text(text)
    with pytest.raises(ValueError, match=message):
        require_readable(["main", f"--config={tmp_path / 'wrong.py'}"], "experiment")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--help"],
        [f"--config={QUICK}", "--config.client.epochs=2", "--config.regimes[0]=local"],
    ],
)
def test_what_is_right_passes(arguments):
    require_readable(["main", *arguments], "experiment")
