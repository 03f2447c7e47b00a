"""A grid between hospitals: what is run in which order, what is refused before anything is sent,
and tables that are those of the simulated grid.
"""

import json
import shutil
import time

import pytest

from fedbrain.deploy.protocol.study import study_hash
from fedbrain.deploy.server_side.cells import Targets, run_cells
from fedbrain.experiments.report import write_report
from fedbrain.experiments.site_tables import is_between_hospitals, tables
from fedbrain.experiments.workdir import write_json
from tests.deploy.study_config import SITES, get_config

TARGETS = Targets("age", "sdmt")
ORDER = [(row, k) for k in (0, 1) for row in ("first", "deep", "scratch", "shallow")]
ROW = {"n": 9, "subjects": 9, "mae": 7.0, "mae_se": 1.0, "mae_95": [5.0, 9.0], "rmse": 8.0}
ROW |= {"r2": 0.5, "r": None, "r_95": [None, None], "p": None, "floor_mae": 9.0}


class Engine:
    """Runs an experiment by writing its results."""

    def __init__(self):
        self.asked, self.fields = [], []

    def __call__(self, workdir, fields):
        self.asked.append((workdir.parent.name, int(workdir.name[-1]), fields["target"]))
        self.fields.append(fields)
        write_json(workdir / "config.json", {"sites": fields["sites"]})
        rows = {name: {**ROW, "mae": 7.0 + len(self.asked)} for name in SITES}
        told = {"unit": "years", "synthetic": True, "clients": rows, "alone": rows}
        write_json(workdir / "results.json", told)


def test_every_experiment_is_run_once_after_the_one_that_it_starts_from(tmp_path, capsys):
    engine = Engine()
    how = {"targets": TARGETS, "sites": list(SITES)}
    run_cells(engine, get_config(), tmp_path, **how)
    targets = [(row, k, "age" if row == "first" else "sdmt") for row, k in ORDER]
    assert engine.asked == targets
    (tmp_path / "shallow/seed1/results.json").unlink()
    run_cells(engine, get_config(), tmp_path, **how)
    assert engine.asked == [*targets, ("shallow", 1, "sdmt")]
    assert is_between_hospitals(tmp_path)
    page = write_report(tmp_path).read_text()
    assert "Experiment shallow" in page
    text = capsys.readouterr().out
    assert "federated, seed 1, amber" in text
    assert (tmp_path / "site_tables.txt").read_text() in text


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("baselines", ("linear(model='x')",), "deep, seed 0: x: expected the work directory"),
        ("regimes", ("federated", "centralised"), "deep, seed 0: config.regimes: .*'centralised'"),
        ("initial", "run('elsewhere')", "deep, seed 0: config.initial: .*by a hash"),
    ],
)
def test_what_cannot_run_is_refused_before_the_first_experiment(tmp_path, field, value, sentence):
    engine, c = Engine(), get_config()
    c.second[field] = value
    with pytest.raises(ValueError, match=sentence):
        run_cells(engine, c, tmp_path / "x", targets=TARGETS, sites=list(SITES))
    assert not engine.asked
    assert not (tmp_path / "x").exists()


def test_every_job_names_the_study_and_its_place(tmp_path, capsys):
    engine = Engine()
    run_cells(engine, get_config(), tmp_path / "x", targets=TARGETS, sites=list(SITES))
    experiments = json.loads((tmp_path / "x/study.json").read_text())
    hash = study_hash(experiments)
    for fields in engine.fields:
        assert study_hash(fields["study"]["experiments"]) == hash
        assert experiments[fields["study"]["place"]]["target"] == fields["target"]
    assert str(tmp_path) not in json.dumps(experiments)
    assert experiments["deep/seed1"]["config"]["initial"] == "earlier('first/seed1', head=False)"
    capsys.readouterr()


def test_a_site_that_comes_later_takes_part_in_the_experiments_that_are_to_come(tmp_path, capsys):
    how = {"targets": TARGETS}
    run_cells(Engine(), get_config(), tmp_path, sites=["amber", "birch"], **how)
    (tmp_path / "shallow/seed1/results.json").unlink()
    (tmp_path / "shallow/seed1/config.json").unlink()
    (tmp_path / "scratch/seed1/results.json").unlink()  # begun without the third site
    engine = Engine()
    run_cells(engine, get_config(), tmp_path, sites=list(SITES), **how)
    assert [fields["sites"] for fields in engine.fields] == [["amber", "birch"], list(SITES)]
    experiments = json.loads((tmp_path / "study.json").read_text())
    assert experiments["first/seed0"]["sites"] == ["amber", "birch"]
    assert experiments["shallow/seed1"]["sites"] == list(SITES)
    capsys.readouterr()


def test_a_start_that_sites_cannot_know_is_refused(tmp_path):
    c = get_config()
    c.second.initial = "run('{first}', federation='local-amber')"
    with pytest.raises(ValueError, match=r"deep: config.initial: expected run\('{first}'\)"):
        run_cells(Engine(), c, tmp_path / "x", targets=TARGETS, sites=list(SITES))


def test_tables_do_not_depend_on_who_ran_the_grid(tmp_path, capsys):
    run_cells(Engine(), get_config(), tmp_path / "a", targets=TARGETS, sites=list(SITES))
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    for path in (tmp_path / "b").rglob("results.json"):
        told = json.loads(path.read_text())
        regimes = {"federated": told.pop("clients"), "local": told.pop("alone")}
        told["regimes"] = {name: {"clients": rows} for name, rows in regimes.items()}
        path.write_text(json.dumps(told))
    assert list(tables(tmp_path / "a")) == list(tables(tmp_path / "b"))
    capsys.readouterr()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # processes are killed, not closed
def test_the_study_over_the_network_has_the_tables_of_the_simulated_grid(tmp_path):
    """Server and three sites over mutual TLS; the command is killed once and given again."""
    pytest.importorskip("nvflare", reason="needs the extra deploy")
    from tests.faults.consortium import wait_for
    from tests.faults.study import Study

    study = Study(tmp_path)
    study.made.start()
    began = time.monotonic()
    try:
        killed = study.command()
        study.approve()
        wait_for(lambda: study.finished(), seconds=600)
        killed.kill()
        killed.wait()
        assert study.command().wait(timeout=1800) == 0
    finally:
        study.made.stop()
    print(f"{time.monotonic() - began:.0f} s for {len(study.finished())} experiments")
    assert len(study.finished()) == len(ORDER)
    assert study.differences() == []


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # processes are killed, not closed
@pytest.mark.parametrize("elsewhere", [False, True])
def test_twenty_kills_of_the_study_lose_no_round_and_change_no_bit(elsewhere, tmp_path):
    pytest.importorskip("nvflare", reason="needs the extra deploy")
    from tests.faults.study_kills import kill

    done, differences = kill(tmp_path, 20, elsewhere=elsewhere)
    assert len(done) == 20
    assert not [hit for hit in done if hit["round_lost"]]
    assert differences == []
