"""A sweep: what is tried, what is chosen without the test, what is told, what is run again."""

import json
import shutil

import numpy as np
import pytest
from scipy import stats

from fedbrain.analysis import sweep_table
from fedbrain.analysis.predictions import Predictions
from fedbrain.analysis.stored_predictions import read_repeats, read_validation
from fedbrain.configs import ixi_hh_methods
from fedbrain.configs import sweep as sweep_config
from fedbrain.experiments import sweep, sweep_results
from fedbrain.experiments.config import read_experiment
from fedbrain.experiments.report import write_report
from fedbrain.experiments.workdir import claim
from tests.analysis.test_html_page import Checked
from tests.experiment_under_test import config as experiment

pytestmark = pytest.mark.usefixtures("shared_programs", "no_figures")
RATES = ("sgd(1e-9)", "adam(1e-2)")


def tiny(cache, **tune):
    """Two methods with two settings each, two splits."""
    c = sweep_config.get_config()
    c.experiment = experiment(cache, rounds=2, regimes=("federated",))
    c.experiment.splits.repeats = 2
    c.methods = {"FedAvg": {}, "pooled, all": {"regimes": ("centralised",)}}
    c.against = ("FedAvg",)
    c.tune.update({"trials": 2, "fields": {"client": {"optimizer": RATES}}, **tune})
    return c


@pytest.fixture(scope="module")
def finished(tmp_path_factory, scans):
    folder = tmp_path_factory.mktemp("sweep") / "run"
    c = tiny(scans)
    sweep.run(c, folder)
    return c, folder


def _mae(rows, **fields):
    errors = [
        abs(float(row["prediction"]) - float(row["target"]))
        for row in rows
        if all(row[k] == v for k, v in fields.items())
    ]
    return float(np.mean(errors))


def _rows(path):
    """The rows of a table, read without the program."""
    header, *lines = path.read_text().splitlines()
    return [dict(zip(header.split("\t"), line.split("\t"))) for line in lines]


def _table(folder, name):
    """All rows of all clients."""
    paths = sorted(folder.glob(f"clients/*/{name}.tsv"))
    return [row for path in paths for row in _rows(path)]


def test_every_split_takes_the_best_setting_on_validation_people(finished):
    """An oracle that reads the files of every experiment."""
    _, workdir = finished
    told = json.loads((workdir / "comparison.json").read_text())
    assert {line["method"] for line in told["lines"]} == {"FedAvg", "pooled, all"}
    for line in told["lines"]:
        method = workdir / ("FedAvg" if line["method"] == "FedAvg" else "pooled_all")
        folders = [method / f"setting{k}" for k in (1, 2)]
        scores = [
            [_mae(_table(f, "predictions"), part="valid", split=f"repeat{r}-split0")
             for r in (0, 1)] for f in folders
        ]  # fmt: skip
        tuned = next(t for t in told["tuning"] if t["method"] == line["method"])
        found = [trial["validation"] for trial in tuned["trials"]]
        np.testing.assert_allclose(found, scores, rtol=1e-5)
        assert tuned["chosen"] == np.argmin(scores, axis=0).tolist()
        regime = "federated" if line["method"] == "FedAvg" else "centralised"
        tests = [
            [row for row in _table(folders[k], "test")
             if row["repeat"] == str(r) and row["regime"] == regime]
            for r, k in enumerate(tuned["chosen"])
        ]  # fmt: skip
        together = [row for rows in tests for row in rows]
        assert line["score"] == pytest.approx(_mae(together), rel=1e-5)
        assert line["n"] == len(together)
        assert [line["low"], line["high"]] == pytest.approx(
            sorted(_mae(rows) for rows in tests), rel=1e-5
        )
    assert not set(read_validation(workdir / "FedAvg/setting1")) ^ {0, 1}
    assert not set(read_repeats(workdir / "FedAvg/setting1")) ^ {0, 1}


def test_the_tables_that_are_printed_and_the_report(finished, tmp_path, capsys):
    c, workdir = finished
    sweep.run(c, workdir)
    text = capsys.readouterr().out
    for words in ("Synthetic data. 2 splits. 2 settings tried", "pooled, all - FedAvg", "p by Holm",
                  "FedAvg chose: ", "floor", "95 %"):  # fmt: skip
        assert words in text, words
    assert (workdir / "comparison.png").stat().st_size > 1000
    header, *rows = (workdir / "tuning.tsv").read_text().splitlines()
    assert header.split("\t")[2] == "MAE, years, validation people"
    tried = ["floor: no image", *(f"client.optimizer={r}" for r in RATES)]
    assert [row.split("\t")[1] for row in rows] == tried * 2
    page = write_report(workdir, tmp_path / "sweep.html").read_text()
    Checked(page)
    for words in ("SYNTHETIC: Sweep", "pooled, all", "p by Holm", "client.optimizer=adam(1e-2)",
                  "In short", "Best of 2: ", "Floor: the median of a client&#x27;s own people: MAE",
                  "floor: no image"):  # fmt: skip
        assert words in page, words


def test_floors_are_told_like_methods_and_on_validation_people_too(finished):
    """Medians of the people who train, from the files of every experiment."""
    _, workdir = finished
    told = json.loads((workdir / "comparison.json").read_text())
    names = [line["method"] for line in told["floors"]]
    assert names == [
        f"floor: the median of {who} people" for who in ("a client's own", "all clients'")
    ]
    for line, method in zip(told["floors"], ("FedAvg", "pooled_all")):
        rows = _table(workdir / method / "setting1", "test")
        errors = [abs(float(row["floor"]) - float(row["target"])) for row in rows]
        assert line["score"] == pytest.approx(np.mean(errors), rel=1e-5)
        assert line["score"] == pytest.approx(line["floor"], rel=1e-6)
        low, high = line["interval"]
        assert low < line["score"] < high
    for method, folder in (("FedAvg", "FedAvg"), ("pooled, all", "pooled_all")):
        for repeat in (0, 1):
            errors = []
            for path in sorted((workdir / folder / "setting1").glob("clients/*")):
                floors = {
                    row["floor"] for row in _rows(path / "test.tsv") if row["repeat"] == str(repeat)
                }
                (floor,) = floors
                errors += [
                    abs(float(floor) - float(row["target"]))
                    for row in _rows(path / "predictions.tsv")
                    if row["part"] == "valid" and row["split"] == f"repeat{repeat}-split0"
                ]
            found = told["valid_floors"][method][repeat]
            assert found == pytest.approx(np.mean(errors), rel=1e-5)


def test_what_is_finished_is_not_run_again_and_processes_share(finished, monkeypatch, tmp_path):
    c, workdir = finished
    kept = (workdir / "comparison.json").read_text()
    monkeypatch.setattr(sweep, "conduct", lambda *a: pytest.fail("it was run again"))
    sweep.run(c, workdir)
    assert (workdir / "comparison.json").read_text() == kept
    first, *_ = sweep.trials(c, tmp_path)
    with claim(first.job.folder, {"config": first.config.to_dict()}):
        assert not sweep.jobs.attempt(first.job, sweep.conduct)


def test_a_sweep_that_is_not_finished_tells_what_is(finished, tmp_path, capsys):
    _, workdir = finished
    sweep.so_far(workdir)
    text = capsys.readouterr().out
    assert "To come" not in text
    copy = tmp_path / "copy"
    shutil.copytree(workdir, copy)
    (copy / "pooled_all/setting2/results.json").unlink()
    assert sweep.is_sweep(copy)
    assert not sweep.is_sweep(copy / "FedAvg/setting1")
    sweep.so_far(copy)
    part = capsys.readouterr().out
    assert part.endswith("To come: pooled, all.\n")
    line = next(line for line in part.splitlines() if line.startswith("FedAvg "))
    assert line.split() == next(x for x in text.splitlines() if x.startswith("FedAvg ")).split()
    (copy / "FedAvg/setting1/results.json").unlink()
    with pytest.raises(ValueError, match="no method is finished. Run fedbrain sweep first"):
        sweep.so_far(copy)


def test_without_tuning_a_method_is_run_once(tmp_path, scans):
    c = tiny(scans, trials=0)
    (one, other) = sweep.trials(c, tmp_path)
    assert one.tried == ("FedAvg", {}, tmp_path / "FedAvg/setting1")
    assert other.config.regimes == ("centralised",)
    assert other.job.folder == tmp_path / "pooled_all/setting1"


def test_any_field_of_an_experiment_is_tuned(tmp_path, scans):
    c = tiny(scans, fields={"rounds": (2, 3), "augment": ("none()", "augment(flip=True)")})
    c.tune.trials = 4
    c.methods = {"FedAvg": {}}
    tried = [(t.config.rounds, t.config.augment) for t in sweep.trials(c, tmp_path)]
    assert sorted(tried) == [(n, a) for n in (2, 3) for a in ("augment(flip=True)", "none()")]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"methods": {"a": {"client": {"optimiser": "sgd(1.0)"}}}},
         r"config.methods\['a'\]: an experiment has no field 'client.optimiser'. Did you mean"
         r" 'client.optimizer'\?"),
        ({"methods": {"a": {"roundz": 3}}}, "no field 'roundz'. Did you mean 'rounds'"),
        ({"methods": {"a": {"partition": "by_site()"}}}, "all are tested on the same people"),
        ({"methods": {"a": {"splits": {"test": 0.5}}}}, "all are tested on the same people"),
        ({"methods": {"a": {"regimes": ("local", "federated")}}}, "expected one regime, got"),
        ({"methods": {"a": {"rounds": "many"}}}, "expected other values"),
        ({"methods": {"a b": {}, "a_b": {}}}, "names that differ in letters and digits"),
        ({"tune": {"fields": {"client": {"optimiser": ("sgd(1.0)", "sgd(2.0)")}}}},
         "no field 'client.optimiser'"),
        ({"tune": {"fields": {"sites": {"a": ("x", "y")}}}}, "expected fields of algorithm, "),
        ({"tune": {"fields": {"rounds": 3}}}, "expected a tuple of the values tried of rounds"),
        ({"tune": {"trials": 9}}, "expected at most the 2 settings"),
        ({"against": ("FedSGD",)}, "config.against: expected names of methods, FedAvg, pooled,"),
        ({"experiment": {"splits": {"valid": 0.0}}}, "config.experiment.splits.valid: expected"),
        ({"methods": {"a": {"server": {"aggregator": "fednova()"}}}},
         r"a, setting2: config.client.optimizer: expected sgd"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_sentence_before_anything_runs(change, sentence, tmp_path, scans):
    c = tiny(scans)
    c.experiment.client.optimizer = "adam(1e-2)"
    for name, value in change.items():
        if name == "methods":
            c.methods = value
            c.against = ()
        elif isinstance(value, tuple):
            c[name] = value
        else:
            with c.unlocked():
                c[name].update(value)
            if "fields" in value:
                c.tune.fields = value["fields"]
    with pytest.raises(ValueError, match=sentence):
        sweep.run(c, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def _sites(error, n=40, k=0):
    rng = np.random.default_rng(k)
    target = rng.normal(50, 10, n).astype(np.float32)
    floor = np.full(n, 50, np.float32)
    people = [f"{k}/{i}" for i in range(n)]
    return Predictions(people, target, target + np.asarray(error, np.float32), floor)


def test_p_is_that_of_a_t_test_of_paired_errors():
    rng = np.random.default_rng(4)
    a, b = rng.normal(0, 3, 40), rng.normal(0, 4, 40)
    first, second = {"x": _sites(a)}, {"x": _sites(b)}
    expected = stats.ttest_rel(np.abs(a), np.abs(b)).pvalue
    assert sweep_table.p_of_no_difference(first, second) == pytest.approx(expected, rel=1e-3)
    assert sweep_table.p_of_no_difference(first, first) == 1.0
    third = {"x": _sites(rng.normal(0, 5, 40))}
    found = sweep_table.differences({"A": first, "B": second, "C": third}, ("B",))
    assert [(d.method, d.reference) for d in found] == [("A", "B"), ("C", "B")]
    smallest = min(found, key=lambda d: d.p)
    assert smallest.holm == pytest.approx(min(1, 2 * smallest.p))
    assert found[0].mean == pytest.approx(np.abs(a).mean() - np.abs(b).mean(), abs=1e-4)
    low, high = found[0].interval
    assert low < found[0].mean < high


def test_the_shipped_sweep_gives_every_method_as_many_settings_and_each_can_be_read(tmp_path):
    c = ixi_hh_methods.get_config()
    tried = sweep.trials(c, tmp_path)
    counts = {m: sum(t.tried.method == m for t in tried) for m in c.methods}
    assert set(counts.values()) == {c.tune.trials}
    assert len(counts) >= 12
    for one in tried:
        read_experiment(one.config)


def test_the_setting_of_a_diverged_run_is_not_chosen():
    scores = np.array([[np.nan, 7.0], [8.0, 7.0]])
    assert sweep_results.chosen_of(scores, -1).tolist() == [1, 0]
    assert sweep_results.chosen_of(scores, 1).tolist() == [1, 0]
