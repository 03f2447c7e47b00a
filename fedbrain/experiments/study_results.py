"""What a study writes and prints of its scores."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fedbrain.analysis import method_differences, study_table, tuning_table
from fedbrain.data.problem import Problem
from fedbrain.data.whole_file import write_whole
from fedbrain.experiments.study import cells
from fedbrain.experiments.study_cell import Scores
from fedbrain.experiments.study_privacy import spent_by_all
from fedbrain.experiments.study_references import floor
from fedbrain.experiments.workdir import write_json

ScoresOfCells = dict[tuple[str, str], Scores]  # (method, attack) -> scores


class Tuning(NamedTuple):
    """What a tuned study tried."""

    methods: list[tuning_table.Tuned]
    floor: np.ndarray  # score of a constant on validation examples, [seeds]


class Results(NamedTuple):
    """Tables of a study."""

    lines: list[study_table.Line]
    differences: list[method_differences.Difference]  # of methods from reference methods
    tuning: Tuning | None


def better_of(unit: str) -> int:
    """1 when large scores are good, else -1.

    Args:
      unit: of a problem.
    """
    return 1 if unit == "accuracy" else -1


def constant_of(held_out: list[Problem]) -> np.ndarray:
    """Score of a constant on all validation examples, [seeds].

    Args:
      held_out: every problem with validation examples in place of the test.
    """
    scores, examples, _ = floor(held_out)
    return (scores[:, 0] * examples).sum(1) / examples.sum(1)


def results_of(
    config: Any, measured: Mapping[tuple[str, str], Scores], problem: Problem, tuning: Tuning | None
) -> Results:
    """The tables.

    Args:
      config: of the study.
      measured: scores of every method under every attack.
      problem: of one seed.
      tuning: what was tried, if anything.
    """
    names, better = sorted(problem.clients), better_of(problem.unit)
    order = sorted(measured, key=lambda key: list(config.attacks).index(key[1]))
    reduced = {}
    for key in order:
        scores, examples, skipped = measured[key]
        final = study_table.reduce_history(scores, config.score, better)
        reduced[key] = (final, examples, skipped)
    methods = tuning.methods if tuning else []
    told = spent_by_all(list(cells(config)), len(names))
    settings = {(t.method, t.attack): tuning_table.chosen_in_words(t) for t in methods}
    return Results(
        study_table.summarise(reduced, names, better, settings=settings, privacy=told),
        method_differences.differences(
            reduced, names, tuple(config.against), floor=study_table.FLOOR
        ),
        tuning,
    )


def write(results: Results, workdir: Path, *, unit: str, synthetic: bool) -> None:
    """Files of the tables and figures.

    Args:
      results: of the study.
      workdir: of the study.
      unit: years, ..., or accuracy.
      synthetic: whether the data are synthetic.
    """
    lines, differences, tuning = results
    numbers: dict[str, Any] = {
        "unit": unit,
        "synthetic": synthetic,
        "lines": [line._asdict() for line in lines],
        "differences": [one._asdict() for one in differences],
    }
    if tuning:
        methods = [tuning_table.numbers(one) for one in tuning.methods]
        numbers["tuning"] = {"floor": tuning.floor.tolist(), "methods": methods}
        rows = tuning_table.rows_of(tuning.methods, tuning.floor, unit)
        text = "".join("\t".join(row) + "\n" for row in rows)
        write_whole(workdir / "tuning.tsv", text.encode())
        tuning_table.draw(workdir / "tuning.png", tuning.methods, unit=unit, synthetic=synthetic)
    study_table.draw(workdir / "comparison.png", lines, unit=unit, synthetic=synthetic)
    write_json(workdir / "comparison.json", numbers)


def show(results: Results, workdir: Path, *, seeds: int, unit: str, synthetic: bool) -> None:
    """Prints the tables.

    Args:
      results: of the study.
      workdir: of the study.
      seeds: how many.
      unit: years, ..., or accuracy.
      synthetic: whether the data are synthetic.
    """
    print(study_table.render(results.lines, seeds=seeds, unit=unit, synthetic=synthetic))
    if results.tuning:
        trials = len(results.tuning.methods[0].settings)
        print(f"{trials} settings tried of every method; sensitivity: {workdir / 'tuning.tsv'}")
    if results.differences:
        print(method_differences.render(results.differences))
    print(f"Results and figure: {workdir}")
