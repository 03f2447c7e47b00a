"""Tuned studies: equally many trials for every method, chosen seed by seed without the test."""

import json

import numpy as np
import pytest

from fedbrain.analysis.tuning_table import places_of, profile
from fedbrain.configs import tuned_study as tuned_study_config
from fedbrain.experiments import compare, contributions
from fedbrain.experiments.study import draw_problems
from fedbrain.experiments.study_cell import Scores, run_cell
from fedbrain.experiments.study_choices import require_readable
from fedbrain.experiments.study_ranges import settings_of, trial_cells, tried
from fedbrain.experiments.study_tuning import (
    choose_settings,
    chosen_cells,
    put_together,
    validation_problems,
)
from tests.experiments.test_study import small

GOOD, USELESS = "sgd(0.1)", "sgd(1e-9)"
BOTH = {"client": {"optimizer": (USELESS, GOOD)}}
METHODS = {"FedAvg": {}, "median": {"server": {"aggregator": "median()"}}}


def tuned_study(**tune):
    return small(methods=METHODS, tune={"trials": 2, "fields": BOTH, **tune})


def last(history):
    return history[:, -1]


def test_every_method_has_equally_many_trials_of_its_own_grid():
    config = tuned_study(
        trials=3,
        fields={"client": {"optimizer": (USELESS, GOOD, "sgd(0.2)")}},
        methods={
            "median": (
                {"server": {"optimizer": ("sgd(1.0)", "sgd(0.5)")}},
                {"client": {"steps": (1, 2, 2)}},
            )
        },
    )
    plain, own = (settings_of(config, method) for method in METHODS)
    assert plain == [{"client.optimizer": x} for x in (USELESS, GOOD, "sgd(0.2)")]
    assert len(own) == 3
    assert own == settings_of(config, "median")
    grid = [{"client.optimizer", "server.optimizer"}, {"client.optimizer", "client.steps"}]
    assert all(set(one) in grid for one in own)
    assert {cell.method for cell in trial_cells(config)} == set(METHODS)
    config.tune.trials = 12
    with pytest.raises(ValueError, match="at most the 3 settings that config.tune gives 'FedAvg'"):
        settings_of(config, "FedAvg")
    assert len(settings_of(config, "median")) == 12


def test_the_setting_of_the_best_validation_score_is_chosen_by_each_seed():
    """Clients of 1 and 3 examples; the second trial diverges for the second seed."""
    config = tuned_study()
    todo = [cell for cell in trial_cells(config) if cell.method == "FedAvg"]
    n = np.array([[1.0, 3.0]] * 3)
    histories = [[[4.0, 0.0], [5.0, 5.0], [2.0, 2.0]], [[0.0, 2.0], [np.nan, 1.0], [2.0, 2.0]]]
    scores = [Scores(np.array(h)[:, None], n, np.zeros(3)) for h in histories]
    (one,) = choose_settings(todo, scores, last, better=1)
    np.testing.assert_allclose(one.validation[:, 0], [1.0, 1.5])
    assert one.chosen.tolist() == [1, 0, 0]
    (reverse,) = choose_settings(todo, scores, last, better=-1)
    assert reverse.chosen.tolist() == [0, 0, 0]
    cells = chosen_cells(config, [one])
    assert [(c.settings["client.optimizer"], c.seeds) for c in cells] == [
        (USELESS, (1, 2)),
        (GOOD, (0,)),
    ]
    measured = [Scores(np.full((len(c.seeds), 1, 2), k), n[: len(c.seeds)], np.zeros(len(c.seeds)))
                for k, c in enumerate(cells)]  # fmt: skip
    together = put_together(cells, measured)["FedAvg", "none"]
    assert together.scores[:, 0, 0].tolist() == [1, 0, 0]


def test_a_cell_of_some_seeds_gives_what_all_seeds_give():
    config = tuned_study()
    problems = draw_problems(config)
    setting = {"client.optimizer": GOOD}
    both, second = (
        run_cell(tried(config, "FedAvg", "none", setting, seeds=seeds), problems, config.seed)
        for seeds in (None, (1,))
    )
    np.testing.assert_allclose(second.scores[0], both.scores[1], atol=1e-4)


def test_a_tuned_study_from_its_validation_part_to_its_report(tmp_path, capsys):
    from fedbrain.experiments.report_study import study_sections

    config = tuned_study()
    config.rounds, config.every = 30, 30
    compare.run(config, tmp_path / "run")
    text = capsys.readouterr().out
    assert text.count(f"2 x client.optimizer={GOOD}") == 2
    assert "2 settings tried of every method" in text
    kept = json.loads((tmp_path / "run/comparison.json").read_text())
    problems = draw_problems(config)
    for one in kept["tuning"]["methods"]:
        cell = tried(config, one["method"], "none", {"client.optimizer": GOOD})
        alone = run_cell(cell, problems, config.seed)
        expected = (last(alone.scores) * alone.examples).sum(1) / alone.examples.sum(1)
        line = next(line for line in kept["lines"] if line["method"] == one["method"])
        np.testing.assert_allclose(line["mean"], expected.mean(), atol=1e-3)
        held_out = run_cell(cell, validation_problems(config, problems), config.seed)
        told = (last(held_out.scores) * held_out.examples).sum(1) / held_out.examples.sum(1)
        np.testing.assert_allclose(one["trials"][1]["validation"], told, atol=1e-3)
    header, constant, *rows = (tmp_path / "run/tuning.tsv").read_text().splitlines()
    assert header.split("\t")[3] == "accuracy, % on validation examples"
    assert constant.split("\t")[1] == "floor: a constant"
    assert [row.split("\t")[-1] for row in rows] == ["0", "2"] * 2
    assert (tmp_path / "run/tuning.png").stat().st_size > 1000
    _, sections = study_sections(tmp_path / "run")
    assert f"client.optimizer={USELESS}" in str(sections[0].blocks)
    stamps = {p: p.stat().st_mtime_ns for p in (tmp_path / "run").glob("*/*.json")}
    assert len(stamps) == 6
    (tmp_path / "run/tuning/001.json").unlink()
    compare.run(config, tmp_path / "run")
    assert json.loads((tmp_path / "run/comparison.json").read_text()) == kept
    changed = [p.name for p, stamp in stamps.items() if p.stat().st_mtime_ns != stamp]
    assert changed == ["001.json"]


def test_a_curve_takes_the_best_trial_with_each_value():
    config = tuned_study(methods={"FedAvg": {"client": {"steps": (1, 2)}}}, trials=2)
    config.tune.trials = 4
    todo = [cell for cell in trial_cells(small(methods={"FedAvg": {}}, tune=config.tune))]
    scores = [Scores(np.full((2, 1, 1), x), np.ones((2, 1)), np.zeros(2)) for x in (1, 7, 3, 2)]
    (one,) = choose_settings(todo, scores, last, better=1)
    assert profile(one, "client.optimizer", 1) == ([USELESS, GOOD], [7.0, 3.0])
    fewer = one._replace(settings=one.settings[2:], validation=one.validation[2:])
    assert places_of([fewer, one], "client.optimizer") == {USELESS: 0, GOOD: 1}
    assert profile(one, "client.steps", -1) == (["1", "2"], [1.0, 2.0])


def test_contributions_are_those_of_one_setting():
    with pytest.raises(ValueError, match=r"^config.tune.trials: expected 0, since contributions"):
        contributions.run(tuned_study(), "FedAvg")


def test_the_shipped_study_gives_every_method_four_settings_and_each_can_be_read():
    config = tuned_study_config.get_config()
    require_readable(config, draw_problems(config)[0])
    cells = trial_cells(config)
    assert len(cells) == 4 * len(config.methods) * len(config.attacks)
