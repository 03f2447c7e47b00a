"""A grid of experiments: what a row is, what is run again, what the tables say, what may be
claimed.
"""

import json

import numpy as np
import pytest
from absl import flags

from fedbrain.analysis.claims import ALL, paired, sentence
from fedbrain.analysis.grid_table import measure
from fedbrain.analysis.least_squares import predict, products, solve
from fedbrain.analysis.statistics import Predictions
from fedbrain.configs import grid as grid_config
from fedbrain.experiments import grid, grid_tables
from fedbrain.experiments.report import write_report
from fedbrain.experiments.workdir import claim
from tests.analysis.test_html_page import Checked
from tests.experiment_under_test import config as experiment

pytestmark = pytest.mark.usefixtures("shared_programs", "no_figures")


def tiny(cache, rounds=1):
    """Two seeds of a first experiment and two rows."""
    c = grid_config.get_config()
    c.seeds = 2
    c.first = experiment(cache, rounds=rounds, regimes=("federated",))
    c.second = experiment(cache, rounds=rounds, regimes=("federated", "local"))
    c.second.sites = {
        h: f"synthetic({h!r}, subjects={n}, ms=True, label='sdmt')"
        for h, n in (("amber", 15), ("birch", 12))
    }
    c.second.initial = "run('{first}', head=False)"
    c.second.baselines = ("linear('age', 'sex')", "linear('age', model='{first}')")
    c.rows = {"deep": {}, "shallow": {"trainable": "only_head()"}}
    c.published = {"deep": {"federated": {"all": {"mae": 9.19}, "amber": {"r": 0.25}}}}
    c.source = "somebody"
    return c


@pytest.fixture(scope="module")
def finished(tmp_path_factory, scans):
    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()
    folder = tmp_path_factory.mktemp("grid")
    c = tiny(scans)
    grid.run(c, folder / "run")
    return c, folder / "run"


def test_every_seed_has_its_own_start_and_test_people(finished):
    c, workdir = finished
    made = {(cell.row, cell.seed): cell for cell in grid.cells(c, workdir)}
    assert list(made) == [(row, k) for k in (0, 1) for row in ("first", "deep", "shallow")]
    assert made["deep", 1].config.initial == f"run('{workdir}/first/seed1', head=False)"
    assert made["shallow", 1].config.trainable == "only_head()"
    people = [
        {
            row.split("\t")[2]
            for row in (workdir / f"deep/seed{k}/clients/amber/test.tsv")
            .read_text()
            .splitlines()[1:]
        }
        for k in (0, 1)
    ]
    assert people[0]
    assert not people[0] & people[1]
    told = json.loads((workdir / "deep/seed1/initial/repeat1-split0.json").read_text())
    assert "first/seed1" in told["path"]


def test_what_is_finished_is_not_run_again_and_an_experiment_is_resumed(finished, monkeypatch):
    c, workdir = finished
    monkeypatch.setattr(
        grid, "conduct", lambda config, folder: pytest.fail(f"{folder} was run again")
    )
    grid.run(c, workdir)
    ran = []
    monkeypatch.setattr(
        grid,
        "conduct",
        lambda config, folder: (ran.append(folder), (folder / "results.json").touch()),
    )
    results = (workdir / "shallow/seed1/results.json").read_bytes()
    (workdir / "shallow/seed1/results.json").unlink()
    grid.run(c, workdir)
    assert ran == [workdir / "shallow/seed1"]
    (workdir / "shallow/seed1/results.json").write_bytes(results)


def test_two_processes_share_a_grid(finished, tmp_path):
    """A cell that another process holds is left to it, and so is what starts from it."""
    c, _ = finished
    first, deep, *_ = grid.cells(c, tmp_path)
    with claim(first.folder, {"config": first.config.to_dict()}):
        assert not grid.attempt(first)
    assert not grid.attempt(deep)
    assert not deep.folder.exists()


def test_tables(finished, capsys):
    _, workdir = finished
    grid_tables.run(workdir)
    text = capsys.readouterr().out
    assert text == (workdir / "tables.txt").read_text()
    for expected in (
        "SYNTHETIC data",
        "mean, by all images",
        "linear: age, sex",
        "linear: age, predicted by the first model",
        "MAE of the model",
        "local-amber",
        "trainable parameters: 9 of",
        "federated, deep - shallow",
        "deep, federated - local",
        "federated, deep and shallow: 2 of 3 seeds are there",
        "9.19",
    ):
        assert expected in text, expected
    record = json.loads((workdir / "tables.json").read_text())
    found = record["rows"]["deep"]["regimes"]["federated"]
    n = [found[site]["n"] for site in ("amber", "birch")]
    maes = [found[site]["mae"] for site in ("amber", "birch")]
    assert found["by_images"]["mae"] == pytest.approx(np.average(maes, weights=[15, 12]))
    assert found["by_test_scans"]["mae"] == pytest.approx(np.average(maes, weights=n), rel=1e-6)
    assert found["by_sites"]["mae"] == pytest.approx(np.mean(maes))


def test_what_is_wrong_is_one_sentence(finished, tmp_path):
    c, workdir = finished
    with pytest.raises(
        ValueError,
        match="deep/seed0: expected the work directory of a grid, got that of a single experiment",
    ):
        grid_tables.run(workdir / "deep/seed0")
    with pytest.raises(
        ValueError, match="expected the work directory of a grid, got no config.json"
    ):
        grid_tables.run(tmp_path)
    bad = c.copy_and_resolve_references()
    bad.rows = {"deep": {"tranable": "only_head()"}}
    with pytest.raises(
        ValueError, match="config.rows.deep: sets a field that an experiment does not have"
    ):
        grid.run(bad, tmp_path)


def _seeds(error, seeds=3, n=40):
    rng = np.random.default_rng(0)
    made = []
    for k in range(seeds):
        target = rng.normal(50, 10, n).astype(np.float32)
        floor = np.full(n, 50, np.float32)
        people = [f"{k}-{i}" for i in range(n)]
        made.append(
            {"a": Predictions(people, target, target + np.float32(error) + floor * 0, floor)}
        )
    return made


def test_claims_need_three_seeds_an_interval_without_zero_and_agreement():
    good, bad, noise = _seeds(1.0), _seeds(2.0), _seeds(1.0)
    d = paired(good, bad)[ALL]
    assert d.mean == pytest.approx(-1, abs=1e-4)
    assert (d.holds, d.better, d.seeds) == (True, 3, 3)
    assert "has a smaller error than" in sentence("x", "y", d, "points")
    few = paired(good[:2], bad[:2])[ALL]
    assert not few.holds
    assert "2 of 3 seeds are there" in sentence("x", "y", few, "points")
    assert "the interval holds 0" in sentence("x", "y", paired(good, noise)[ALL], "points")
    mixed = paired([good[0], good[1], bad[2]], [bad[0], bad[1], good[2]])[ALL]
    assert not mixed.holds
    with pytest.raises(ValueError, match="same scans"):
        paired(good, _seeds(1.0, n=39))


def test_three_ways_to_average():
    seeds = [{"a": s["a"], "b": t["a"]} for s, t in zip(_seeds(1.0, n=10), _seeds(3.0, n=30))]
    found = measure(seeds, {"a": 300, "b": 100})
    assert found["by_images"]["mae"] == pytest.approx(1.5, abs=1e-4)
    assert found["by_test_scans"]["mae"] == pytest.approx(2.5, abs=1e-4)
    assert found["by_sites"]["mae"] == pytest.approx(2.0, abs=1e-4)


def test_a_regression_from_sums_is_the_regression_on_everybody():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(50, 2)), rng.normal(size=50)
    sent = products(x[:20], y[:20]) + products(x[20:], y[20:])
    expected = np.linalg.lstsq(np.c_[np.ones(50), x], y, rcond=None)[0]
    np.testing.assert_allclose(solve(sent).weights, expected, rtol=1e-9)


def test_an_unknown_regressor_counts_as_the_mean_of_all_sites():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(60, 2)) + 5, rng.normal(size=60)
    x[:9, 1], x[30:41, 0] = np.nan, np.nan
    fit = solve(products(x[:25], y[:25]) + products(x[25:], y[25:]))
    means = np.nanmean(x, 0)
    filled = np.where(np.isfinite(x), x, means)
    expected = np.linalg.lstsq(np.c_[np.ones(60), filled], y, rcond=None)[0]
    np.testing.assert_allclose(fit.means, means, rtol=1e-12)
    np.testing.assert_allclose(fit.weights, expected, rtol=1e-9)
    np.testing.assert_allclose(predict(fit, x), np.c_[np.ones(60), filled] @ expected, rtol=1e-9)


def test_a_page_of_the_grid(finished, tmp_path, capsys):
    _, workdir = finished
    before = {p for p in workdir.rglob("*")}
    text = write_report(workdir, tmp_path / "grid.html").read_text()
    assert {p for p in workdir.rglob("*")} == before
    Checked(text)
    grid_tables.run(workdir)
    printed = capsys.readouterr().out
    for words in ("published MAE", "mean, by all images", "What may be claimed"):
        assert words in printed
        assert words in text
    assert "deep/seed1" in text
    assert "SYNTHETIC" in text
    assert str(workdir.parent) not in text


def test_sites_of_a_row_are_looked_at_before_the_first_experiment_runs(tmp_path):
    c = tiny(tmp_path / "cache")
    c.second.sites = {"lyon": "bids('nowhere')", "bern": "bids('nobody')"}
    with pytest.raises(ValueError, match=r"deep: sites.bern: nobody: .* sites.lyon: nowhere: "):
        grid.run(c, tmp_path / "run")
    assert not (tmp_path / "run").exists()
