"""Studies: a small grid from the command line, resumed; problems."""

import json
import shutil

import numpy as np
import pytest
from ml_collections import ConfigDict

from fedbrain.analysis.study_table import reduce_history, summarise
from fedbrain.configs import (
    aggregation_study,
    byzantine_digits,
    flamby_methods,
    hospitals,
    more_methods,
    personal_models,
    pfedme,
    private_study,
    recent_methods,
    server_examples,
    stealthy_attacks,
    study,
    tuned_study,
    unequal_hospitals,
)
from fedbrain.data.problems import PROBLEMS
from fedbrain.experiments import study_measure
from fedbrain.experiments.leases import held
from fedbrain.experiments.spec import call
from fedbrain.experiments.study import cells, draw_problems, fingerprint
from fedbrain.experiments.study_cell import Scores, run_cell
from fedbrain.experiments.study_references import choose_per_client, floor, inner_problems
from tests.analysis.test_html_page import Checked
from tests.programs import run_program


def small(**more):
    config = study.get_config()
    config.problem = "breast_cancer(clients=3)"
    config.loss = "cross_entropy(2)"
    config.seeds, config.rounds, config.every = 2, 6, 3
    config.update(more)
    return config


@pytest.mark.parametrize(
    "module",
    [
        aggregation_study,
        byzantine_digits,
        flamby_methods,
        hospitals,
        more_methods,
        personal_models,
        pfedme,
        private_study,
        recent_methods,
        server_examples,
        stealthy_attacks,
        tuned_study,
        unequal_hospitals,
    ],
    ids=lambda m: m.__name__,
)
def test_every_cell_of_every_study_can_be_read(module):
    from fedbrain.experiments.chosen_algorithm import read_algorithm
    from fedbrain.experiments.study_choices import read_plan, read_task

    for cell in cells(module.get_config()):
        read_algorithm(cell.config, read_task(cell.config))
        read_plan(cell.config, 25)


def test_a_study_learns_and_every_regime_and_clock_runs():
    problems = draw_problems(small())
    base = floor(problems).scores.mean()
    for more in (
        {},
        {"regime": "local"},
        {"regime": "centralised"},
        {"clock": "buffered(2)"},
        {"cohort": 2, "drop_out": 0.3},
    ):
        config = small(rounds=30, every=30, **more)
        scores = run_cell(next(cells(config)), problems, 0)
        assert scores.scores.shape == (2, 1, 3)
        assert scores.scores.mean() > base + 10


def test_a_server_with_a_client_of_its_own_trusts_in_a_study():
    """FLTrust beside a client that sends minus five times its update: it is not believed."""
    fltrust = {"server": {"aggregator": "fltrust()", "trusted": ("c0",)}}
    config = small(rounds=30, every=30, methods={"FLTrust": fltrust, "FedAvg": {}})
    config.attack = ("scale(1, factor=-5.0)",)
    problems = draw_problems(config)
    scores = {cell.method: run_cell(cell, problems, 0) for cell in cells(config)}
    # a round is skipped in which the only honest client points away from the server's
    assert scores["FLTrust"].skipped.max() < 5
    assert scores["FLTrust"].scores.mean() > 85 > scores["FedAvg"].scores.mean()


def test_seeds_side_by_side_are_seeds_one_by_one():
    config = small()
    problems = draw_problems(config)
    both = run_cell(next(cells(config)), problems, 0).scores
    alone = run_cell(next(cells(config)), problems[1:], 1).scores
    np.testing.assert_allclose(both[1:], alone, atol=1e-4)


def test_attacks_and_methods_are_joined():
    config = small()
    config.attacks.update({"flip": {"attack": ("sign_flip(1)",)}})
    config.methods.update({"clipped": {"server": {"links": ("clip_by_median_norm()",)}}})
    joined = {(c.method, c.attack): c.config.server.links for c in cells(config)}
    assert joined["clipped", "flip"] == ("sign_flip(1)", "clip_by_median_norm()")
    assert joined["FedAvg", "none"] == ()
    config.methods.update({"wrong": {"krumm": 1}})
    with pytest.raises(ValueError, match=r"'wrong' sets a field"):
        list(cells(config))


def test_label_flip_turns_the_last_clients_labels():
    config = small(rounds=30, every=30)
    problems = draw_problems(config)
    clean = run_cell(next(cells(config)), problems, 0).scores.mean()
    config.label_flip = 3
    assert run_cell(next(cells(config)), problems, 0).scores.mean() < 100 - clean + 20


def test_own_choice_takes_the_best_by_cross_validation():
    config = small()
    problems = draw_problems(config)
    inner = inner_problems(problems, 4)
    n = [len(p.clients["c0"].train[1]) for p in inner]
    assert (
        n
        == [round(len(problems[s].clients["c0"].train[1]) * 0.75) for s in (0, 0, 0, 0, 1, 1, 1, 1)]
        or max(n) - min(n) < 60
    )
    good, bad = (
        run_cell(next(cells(small(client={"optimizer": o}))), problems, 0)
        for o in ("sgd(0.1)", "sgd(1e-9)")
    )
    told = [
        run_cell(next(cells(small(client={"optimizer": o}))), inner, 0)
        for o in ("sgd(1e-9)", "sgd(0.1)")
    ]
    np.testing.assert_array_equal(choose_per_client([bad, good], told, 4, 1).scores, good.scores)


def test_summary_by_hand():
    n = np.asarray([[1.0, 3.0], [1.0, 3.0]])
    zero = np.zeros(2)
    cells = {
        ("a", "x"): (np.asarray([[4.0, 8.0], [0.0, 4.0]]), n, zero),
        ("b", "x"): (np.asarray([[9.0, 9.0], [1.0, 1.0]]), n, zero),
    }
    lines = summarise(cells, ["p", "q"], -1)
    assert [line.method for line in lines] == ["a", "b"]
    assert lines[0].mean == pytest.approx(5.0)
    assert (lines[0].low, lines[0].high, lines[0].rank, lines[0].worst) == (3.0, 7.0, 1.5, 6.0)
    history = np.asarray([[[1.0, 1], [9, 9], [5, 5]]])
    assert reduce_history(history, "best", 1)[0, 0] == 9
    assert reduce_history(history, "best", -1)[0, 0] == 1
    assert reduce_history(history, "last_five", 1)[0, 0] == 5


@pytest.mark.parametrize(("better", "scores"), [(1, [99.0, 100, 94]), (-1, [0.1, 0.0, 3.0])])
def test_an_interval_lies_where_a_score_can_be(better, scores):
    """By t it would reach beyond 100 %, or below an error of 0."""
    cells = {("a", "x"): (np.asarray(scores)[:, None], np.ones((3, 1)), np.zeros(3))}
    [line] = summarise(cells, ["p"], better)
    assert (line.interval[1] == 100) if better > 0 else (line.interval[0] == 0)
    assert 0 <= line.interval[0] < line.mean < line.interval[1]


def test_problems():
    digits = call("digits(clients=25, attackers=5)", PROBLEMS)(0)
    labels = [np.unique(c.train[1]).size for c in digits.clients.values()]
    assert max(labels[:20]) <= 3
    assert min(labels[20:]) >= 8
    synthetic = call("synthetic()", PROBLEMS)(0)
    assert sum(len(c.train[1]) + len(c.test[1]) for c in synthetic.clients.values()) == 205_795
    with pytest.raises(ValueError, match=r"config.problem"):
        call("region_volumes('no.csv', 'no.csv')", PROBLEMS)(0)


def write_hospitals(folder, age_of_last=60.0):
    """Volumes that shrink with age, 30 larger at one of two hospitals."""
    rng = np.random.default_rng(0)
    volumes, ages = ["ID,whole,a,b,c"], ["ID,Age"]
    for i in range(80):
        site, age = ("HH", "Guys")[i % 2], rng.uniform(20, 80)
        parts = (0.3 - 0.001 * age + rng.normal(0, 0.005, 3) + 0.03 * (i % 2)) * (1000 + i)
        volumes.append(
            f"IXI{i:03d}-{site}-{i}-T1,{1000 + i}," + ",".join(f"{v:.5f}" for v in parts)
        )
        ages.append(f"IXI{i:03d}-{site}-{i}-T1,{age_of_last if i == 79 else age:.3f}")
    for name, lines in (("volumes", volumes), ("ages", ages)):
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n")
    return f"('{folder}/volumes.csv', '{folder}/ages.csv')"


def test_volumes_without_the_shifts_of_hospitals(tmp_path):
    def gap(problem):
        one, other = (c.train[0][:, 1:].mean(0) for c in problem.clients.values())
        return np.abs(one - other).max()

    arguments = write_hospitals(tmp_path)
    assert gap(call(f"region_volumes{arguments}", PROBLEMS)(0)) > 1
    draw = call(f"harmonised_volumes{arguments}", PROBLEMS)
    assert gap(draw(0)) < 0.2
    last = np.float32(60.0)
    seeds = [s for s in range(20) if last in draw(s).clients["Guys"].test[1]]
    before = draw(seeds[0]).clients["Guys"].test
    write_hospitals(tmp_path, age_of_last=30.0)
    after = draw(seeds[0]).clients["Guys"].test
    assert (before[1] != after[1]).sum() == 1
    np.testing.assert_array_equal(before[0], after[0])


def test_real_hospitals(shared):
    folder = shared / "tables"
    spec = (
        f"region_volumes('{folder}/IXI_3site_DLMUSE_n291.csv', '{folder}/IXI_3site_demog_n291.csv')"
    )
    clients = call(spec, PROBLEMS)(0).clients
    assert {n: len(c.train[1]) + len(c.test[1]) for n, c in clients.items()} == {
        "Guys": 172,
        "HH": 95,
        "IOP": 24,
    }


def test_compare_from_the_command_line_resumes(tmp_path):
    config = tmp_path / "grid.py"
    config.write_text(
        "from tests.experiments.test_study import small\n\n\ndef get_config():\n    config ="
        " small()\n    config.methods.update({'m 1.0': {'server': {'aggregator': 'median()'}}})\n "
        "   return config\n"
    )
    command = ["fedbrain.compare", f"--config={config}", f"--workdir={tmp_path}/run"]
    first = run_program(*command)
    assert first.returncode == 0, first.stderr
    assert "m 1.0" in first.stdout
    assert "floor: a constant" in first.stdout
    kept = json.loads((tmp_path / "run" / "comparison.json").read_text())
    stamp = (tmp_path / "run" / "cells" / "000.json").stat().st_mtime_ns
    (tmp_path / "run" / "cells" / "001.json").unlink()
    second = run_program(*command)
    assert second.returncode == 0, second.stderr
    assert second.stdout == first.stdout
    assert json.loads((tmp_path / "run" / "comparison.json").read_text()) == kept
    assert (tmp_path / "run" / "cells" / "000.json").stat().st_mtime_ns == stamp
    assert (tmp_path / "run" / "comparison.png").stat().st_size > 1000
    report = run_program("fedbrain.report", f"{tmp_path}/run")
    assert report.stdout == f"Report: {tmp_path}/run/report.html\n", report.stderr
    page = (tmp_path / "run/report.html").read_text()
    assert ">nan" not in page
    Checked(page)
    for words in (
        ">floor: a constant<",
        ">methods.m 1.0.server.aggregator<",
        "<img",
        "rank",
    ):
        assert words in page, words
    assert str(tmp_path) not in page
    (tmp_path / "run/comparison.json").unlink()
    unfinished = run_program("fedbrain.report", f"{tmp_path}/run")
    assert "expected a finished study" in unfinished.stderr
    wrong = run_program(*command, "--config.score=worst")
    assert wrong.returncode != 0
    assert "Traceback" not in wrong.stderr


def test_processes_share_the_cells(tmp_path, monkeypatch):
    """Another one holds the first cell and finishes it while this one has run the second."""
    config = small()
    config.methods.update({"median": {"server": {"aggregator": "median()"}}})
    todo, problems, ran = list(cells(config)), draw_problems(config), []

    def run(cell, *_):
        ran.append(cell.method)
        return Scores(np.full((2, 1, 3), len(ran)), np.ones((2, 3)), np.zeros(2))

    def meanwhile(seconds):
        del seconds
        assert ran == [todo[1].method]
        shutil.copy(tmp_path / "001.json", tmp_path / "000.json")

    monkeypatch.setattr(study_measure, "run_cell", run)
    monkeypatch.setattr(study_measure.time, "sleep", meanwhile)
    (tmp_path / "leases/000").mkdir(parents=True)
    with held(tmp_path / "leases/000"):
        measured = study_measure.measure(todo[:2], config, problems, tmp_path)
    assert [one.scores[0, 0, 0] for one in measured] == [1, 1]
    assert ran == [todo[1].method]


def test_other_data_are_told_apart():
    problems = draw_problems(small())
    assert fingerprint(problems) == fingerprint(draw_problems(small()))
    problems[1].clients["c0"].train[1][0] += 1
    assert fingerprint(problems) != fingerprint(draw_problems(small()))


def test_config_of_a_cell_is_a_copy():
    config = small()
    before = ConfigDict(config.to_dict())
    list(cells(config))
    assert config.to_dict() == before.to_dict()
