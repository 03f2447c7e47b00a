"""fedbrain sample-size on a finished experiment."""

import re

import numpy as np
import pytest

from fedbrain import main
from fedbrain.analysis.sample_size import people_needed
from fedbrain.analysis.stored_predictions import read_tests
from tests.conftest import without_figures
from tests.experiment_under_test import config
from tests.programs import run_program

pytestmark = pytest.mark.usefixtures("shared_programs")


@pytest.fixture(scope="module")
def workdir(tmp_path_factory, scans):
    folder = tmp_path_factory.mktemp("sample_size") / "run"
    c = config(scans, 1, ("federated", "local"))
    c.splits.repeats = 2
    with without_figures():
        main.run(c, folder)
    return folder


def ask(workdir, *flags):
    return run_program("fedbrain.sample_size", workdir, *flags)


def test_the_people_that_the_spread_asks_for(workdir):
    done = ask(workdir, "--second=local", "--difference=0.02,0.05")
    assert done.returncode == 0, done.stderr
    tests = read_tests(workdir)
    errors = {
        regime: {s: np.abs(p.prediction - p.target) for s, p in tests[regime].items()}
        for regime in ("federated", "local")
    }
    together, alone = errors["federated"], errors["local"]
    differences = np.concatenate([together[site] - alone[site] for site in alone])
    sd = float(np.std(differences, ddof=1, dtype=np.float64))
    assert f"Pilot: {len(differences)} people, SD of paired differences {sd:.2f}" in done.stdout
    for d in (0.02, 0.05):
        people = people_needed(d, sd, 0.8)
        assert re.search(rf"{d} years +{people:,} +[\d,]+ to [\d,]+", done.stdout)
    more = ask(workdir, "--second=local", "--difference=0.02", "--power=0.9")
    assert f"{people_needed(0.02, sd, 0.9):,}" in more.stdout


REFUSED = {
    "another method": (("--second=centralised",), r"--second: expected one of \[.*'federated'"),
    "the same": (("--second=federated",), "--second: expected another method"),
    "no number": (("--second=local", "--difference=x"), "--difference: expected numbers"),
    "no end": (
        ("--second=local", "--difference=inf"),
        "--difference: expected numbers above 0",
    ),
    "no difference": (
        ("--second=local", "--difference=0"),
        "--difference: expected numbers above 0",
    ),
    "power": (("--second=local", "--power=1"), "--power: expected a number above 0.05"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_in_one_sentence(workdir, name):
    flags, sentence = REFUSED[name]
    done = ask(workdir, *flags)
    assert done.returncode in (1, 2)
    assert re.search(sentence, done.stderr), done.stderr


def test_no_experiment(tmp_path):
    assert "expected the work directory" in ask(tmp_path, "--second=local").stderr
