"""From words to flags: help, names of configurations, sites, exit codes."""

import subprocess
import sys
from pathlib import Path

import pytest

from fedbrain.cli import help
from fedbrain.cli.commands import COMMANDS
from fedbrain.configs import base, grid, study, sweep
from fedbrain.experiments.field_meanings import meanings

ROOT = Path(__file__).parents[2]


def fedbrain(*arguments, cwd=ROOT):
    return subprocess.run(
        [sys.executable, "-m", "fedbrain", *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(ROOT), "PATH": "", "HOME": str(cwd), "JAX_PLATFORMS": "cpu"},
    )


@pytest.mark.parametrize("module", [base, grid, study, sweep], ids=lambda module: module.__name__)
def test_every_field_has_a_meaning(module):
    known = meanings(module.__name__.rpartition(".")[2])
    fields = [name for name, _ in help.leaves(module.get_config(), known)]
    assert sorted(known) == sorted(fields)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_a_module_with_help(name):
    path = ROOT / COMMANDS[name].module.replace(".", "/")
    assert path.with_suffix(".py").is_file()
    assert f"fedbrain {name}" in path.with_suffix(".py").read_text()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--version"], 0, "fedbrain 0."),
        (["-h"], 0, "what-leaves"),
        (["help", "train"], 0, "--config.client.optimizer='adam(1e-3)'"),
        (["train", "quickstart", "-h"], 0, "--config.rounds=30\n      number of rounds"),
        (["grid"], 0, "paper_synthetic      The two published tables"),
        (["trian"], 2, "Did you mean train?"),
        (["train", "quickstrat"], 2, "Did you mean quickstart?"),
        (["train", "quickstart", "--config.rounds=many"], 2, "--config.rounds=many: invalid"),
        (["train", "quickstart", "--round=1"], 2, "'round'"),
        (["train", "--workdir=x"], 2, "expected a configuration"),
        (["train", "quickstart", "sdmt"], 2, "['quickstart', 'sdmt']"),
        (["train", "sdmt", "--config=sdmt"], 2, "and --config"),
        (["grid", "paper", "--site=a=x", "--config.first.sites.prague=x"], 2, "got both"),
        (["grid", "ixi_hh_transfer:a,b", "--second_site=hh=x"], 2, "have sites of their own"),
        (["grid", "paper", "--site=a=gone", "--second_site=a=x"], 1, "first: sites.a: gone: "),
        (["grid", "paper", "--extend"], 2, "--extend: only fedbrain train extends"),
        (["compare", "hospitals", "--site=a=x"], 2, "--site: a study has no sites"),
        (["predict"], 2, "expected --workdir"),
        (["predict", "runs/a", "--bids=x", "--output=y", "--columns=age"], 2, "got 'age'"),
        (["submit", "quickstart", "--config.foo=1"], 2, "no such field"),
        (["server", "run", "--config=aggregation_study"], 2, "Run fedbrain compare"),
        (["contribute", "quickstart"], 2, "Run fedbrain train quickstart"),
        (["train", "wrong.py"], 1, "wrong.py, line 1: invalid syntax"),
    ],
)
def test_help_and_mistakes(arguments, code, message, tmp_path):
    (tmp_path / "wrong.py").write_text("def get_config(:\n")
    done = fedbrain(*arguments, cwd=tmp_path)
    assert done.returncode == code, done.stderr
    said, silent = (done.stdout, done.stderr) if code == 0 else (done.stderr, done.stdout)
    assert message in said
    assert not silent
    assert "Traceback" not in said
