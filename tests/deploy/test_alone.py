"""The end of a run: rows of the simulation's table, together and alone; what a site keeps."""

import json

import pytest

from fedbrain.deploy.protocol.beside import write_beside
from fedbrain.deploy.protocol.crossed import write_try
from fedbrain.deploy.protocol.terms import variables_of
from fedbrain.deploy.protocol.wire import Refused, unpack
from fedbrain.deploy.server_side.report import Ended, report
from fedbrain.deploy.server_side.report_text import render
from fedbrain.deploy.site_side.going_home import write_identity
from fedbrain.deploy.site_side.own_runs import describe_runs
from fedbrain.experiments.checkpoints import tree_digest
from fedbrain.experiments.experiment import run
from fedbrain.experiments.report import write_report
from fedbrain.experiments.saved_models import export_model, load_models
from fedbrain.experiments.split_id import SplitId
from fedbrain.experiments.trained_models import usual_error
from fedbrain.experiments.workdir import clean
from tests.conftest import without_figures
from tests.experiment_under_test import config
from tests.faults.in_memory import LIMIT, Consortium

REGIMES = ("federated", "local")


@pytest.fixture(scope="module")
def reported(scans, tmp_path_factory):
    """(the consortium, its last snapshot, its results, those of the simulation)."""
    folder = tmp_path_factory.mktemp("alone")
    seed = SplitId(0).seed(0)
    some = Consortium(scans, folder, rounds=2, regimes=REGIMES, seed=seed, crossed=True)
    side, where = some.side(), folder / "server"
    for name, scans_of in some.clients.items():
        worker = some.worker(name)
        write_identity(worker.workdir, some.fields, "age", some.experiment, {name: scans_of})
    state = some.run()
    results = report([Ended(side, state, where)], workdir=where)
    c = config(scans, rounds=2, regimes=REGIMES)
    c.driver, c.residence = "loop()", "streamed()"
    c.patience = {"stop": 0, "plateau": 1, "factor": 0.5}
    with without_figures():
        run(c, folder / "simulated")
    simulated = json.loads((folder / "simulated/results.json").read_text())
    return some, state, results, simulated


@pytest.mark.parametrize(("rows", "regime"), [("clients", "federated"), ("alone", "local")])
def test_rows_are_those_of_the_simulation(reported, rows, regime):
    *_, results, simulated = reported
    assert set(results[rows]) == {"amber", "birch", "cedar"}
    for name, row in results[rows].items():
        theirs = simulated["regimes"][regime]["clients"][name]
        row = clean(row)  # NaN is null in a file
        assert {key: row[key] for key in theirs if key != "age_gap"} == {
            key: value for key, value in theirs.items() if key != "age_gap"
        }
    text = render(results)
    assert text.index("Together:") < text.index("Each site alone:")


def test_models_of_one_site_on_people_of_another_are_tested_as_in_the_simulation(reported):
    some, _, results, simulated = reported
    expected = {m: rows for m, rows in simulated["crossed"].items() if m.startswith("local-")}
    assert set(results["crossed"]) == set(expected) == {f"local-{name}" for name in some.sites}
    for model, rows in clean(results["crossed"]).items():
        for name, theirs in expected[model].items():
            for key in ("n", "subjects", "mae", "mae_95", "rmse", "r2", "r"):
                assert rows[name][key] == theirs[key]
    assert "MAE of the model" in render(results)
    amber = some.worker("amber")
    lent = unpack(amber.receive(write_beside(some.terms, "lend", 0, nonce="n")), limit=LIMIT)
    with pytest.raises(Refused, match="expected no new question after the report"):
        amber.receive(write_try(some.terms, lent.vectors, 0, nonce="other"))
    assert not list((some.folder / "server").rglob("*lent*"))


def test_a_site_that_lends_no_model_refuses_the_job_and_the_question(scans, tmp_path):
    some = Consortium(scans, tmp_path, rounds=1, regimes=REGIMES)
    with pytest.raises(Refused, match="one of model, train, alone, report, got 'lend'"):
        some.worker("amber").receive(write_beside(some.terms, "lend", 0, nonce="n"))
    lent = Consortium(scans, tmp_path / "x", rounds=1, regimes=REGIMES, crossed=True)
    with pytest.raises(Refused, match="expected the order to train alone before models are lent"):
        lent.worker("amber").receive(write_beside(lent.terms, "lend", 0, nonce="n"))


def test_a_site_keeps_models_predictions_and_results(reported):
    some, state, results, simulated = reported
    home = some.worker("amber").workdir
    best = tree_digest(variables_of(state.best_server))
    [(_, together)] = load_models(home)
    assert tree_digest(together) == best
    [(_, alone)] = load_models(home, federation="local-amber")
    expected = simulated["variables_sha256"]["local-amber/repeat0-split0"]
    assert tree_digest({"amber": alone}) == expected
    own = json.loads((home / "results.json").read_text())
    for regime, rows in (("federated", "clients"), ("local", "alone")):
        assert own["regimes"][regime]["clients"]["amber"]["mae"] == results[rows]["amber"]["mae"]
    assert "federated - local" in own["comparisons"]
    for name in ("predictions.tsv", "test.tsv", "scans.tsv"):
        assert (home / "clients/amber" / name).is_file()
    assert own["variables_sha256"]["local-amber/repeat0-split0"] == expected
    page = write_report(home).read_text()
    assert "Accuracy" in page
    assert "local" in page
    file = some.folder / "amber.safetensors"
    how = {"federation": "federated", "client": "", "split": "repeat0-split0", "torch": False}
    export_model(home, str(file), **how)
    assert file.is_file()
    assert "test people: MAE" in usual_error(home, "local-amber")
    (some.folder / "kit/fedbrain").mkdir(parents=True)
    (some.folder / "kit/fedbrain/run").symlink_to(home, target_is_directory=True)
    [line] = describe_runs(some.folder / "kit")
    assert "age, trains everything() from random weights, seed 0; MAE in years" in line
    assert line.count("median predictor") == 2
    assert not list((some.folder / "server").rglob("*.tsv"))


def test_sites_with_too_few_test_people_do_not_keep_a_run_from_its_end(reported):
    _, _, results, _ = reported
    nobody = {**results, "clients": {}, "macro": {}, "alone": {}, "untold": {"amber": "too few"}}
    assert "amber: no test results: too few" in render(nobody)
