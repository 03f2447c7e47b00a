"""Experiments from Python: `import fedbrain`."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import fedbrain
from fedbrain import progress
from fedbrain.experiments.workdir import clean
from tests import experiment_under_test

pytestmark = pytest.mark.usefixtures("shared_programs", "no_figures")


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A configuration of seconds."""
    cache = tmp_path_factory.mktemp("cache")
    return experiment_under_test.config(cache, rounds=1, regimes=("federated",))


@pytest.fixture(scope="module")
def result(small, tmp_path_factory):
    return fedbrain.train(small, tmp_path_factory.mktemp("api") / "run", quiet=True)


def test_every_public_name_is_there():
    assert set(fedbrain.__all__) <= set(dir(fedbrain))
    assert all(getattr(fedbrain, name) is not None for name in fedbrain.__all__)
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        getattr(fedbrain, "trian")  # noqa: B009


def test_type_checkers_see_the_same_names():
    stub = Path(fedbrain.__file__).with_suffix(".pyi").read_text(encoding="utf-8")
    names = [node for node in ast.parse(stub).body if isinstance(node, ast.Assign)]
    assert ast.literal_eval(names[0].value) == fedbrain.__all__


def test_importing_fedbrain_imports_nothing_large():
    code = "import sys, fedbrain; print(sorted({'jax', 'numpy', 'absl'} & set(sys.modules)))"
    command = [sys.executable, "-c", code]
    assert subprocess.check_output(command, text=True).strip() == "[]"


def test_an_experiment_returns_its_results(result):
    assert clean(result.metrics) == json.loads((result.workdir / "results.json").read_text())
    assert result.table.startswith("SYNTHETIC")
    assert str(result) == result.table
    assert "federated" in result.table


def test_a_finished_experiment_is_read_again(result, capsys):
    assert fedbrain.load(str(result.workdir)) == result
    assert capsys.readouterr().out == ""


def test_quiet_prints_nothing_and_the_same_call_reads_the_results(result, small, capsys):
    again = fedbrain.train(small, str(result.workdir), quiet=True)
    assert again == result
    assert capsys.readouterr() == ("", "")


def test_quiet_hides_progress_in_training_too(small, tmp_path, capsys):
    fedbrain.train(small, tmp_path / "run", quiet=True)
    assert capsys.readouterr() == ("", "")
    with progress.Steps("federated", unit="round", total=1) as steps:
        steps.reach(1, "done")
    assert "federated: round 1/1" in capsys.readouterr().err  # only inside


def test_numbers_that_are_not_defined_are_printed(result, tmp_path):
    metrics = json.loads((result.workdir / "results.json").read_text())
    metrics["regimes"]["federated"]["pooled"]["r"] = None
    (tmp_path / "results.json").write_text(json.dumps(metrics))
    assert "n/a" in fedbrain.load(tmp_path).table


def test_a_configuration_with_changes():
    config = fedbrain.configuration("quickstart", {"rounds": 2, "server.aggregator": "median()"})
    assert (config.rounds, config.server.aggregator) == (2, "median()")
    assert fedbrain.configuration("quickstart").rounds != 2


@pytest.mark.parametrize(
    ("sites", "expected"),
    [
        ({"lyon": "/data/lyon"}, "bids('/data/lyon')"),
        ({"lyon": {"root": "/a b", "label": "sdmt:score"}}, "bids('/a b', label='sdmt:score')"),
        ({"lyon": "synthetic('amber', subjects=3)"}, "synthetic('amber', subjects=3)"),
    ],
)
def test_a_site_is_a_folder_or_arguments_or_a_call(sites, expected, tmp_path):
    from fedbrain.experiments.site_flags import site_call

    assert site_call("lyon", sites["lyon"]) == expected


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"changes": {"round": 3}}, "--config.round: .* Did you mean config.rounds?"),
        ({"changes": {"rounds": "many"}}, "config.rounds"),
        ({"changes": {"model": "densenet()"}}, "config.model: Unknown 'densenet'"),
        ({"sites": {"lyon": {}}}, "sites.lyon: expected the folder of a BIDS tree"),
        ({"sites": {"lyon": "/nowhere"}}, "sites.lyon: /nowhere: expected"),
        ({"sites": {"lyon": {"root": "/nowhere", "lable": "age"}}}, "sites.lyon.*lable"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_mistakes_are_sentences(arguments, sentence, tmp_path):
    workdir = tmp_path / "run"
    with pytest.raises(ValueError, match=sentence):
        fedbrain.train("quickstart", str(workdir), quiet=True, **arguments)
    assert not workdir.exists()


def test_no_finished_experiment_is_a_sentence(tmp_path):
    with pytest.raises(ValueError, match="expected the work directory of a finished experiment"):
        fedbrain.load(tmp_path)


def test_sites_twice_is_a_mistake(tmp_path):
    with pytest.raises(ValueError, match="sites: expected once"):
        fedbrain.train({"a": "/x"}, tmp_path / "run", sites={"b": "/y"})
