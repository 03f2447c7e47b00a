"""Runs a study and compares its methods: mean, interval, range and rank of each, under every
attack.

Cells are written as they are finished and are not run again, so that an interrupted study goes on
where it stopped. Several processes, at once and on any hosts that share the folder, share the
cells.
"""

from functools import partial
from pathlib import Path
from typing import Any

from fedbrain.analysis import study_table
from fedbrain.analysis.tuning_table import Tuned
from fedbrain.data.problem import Problem
from fedbrain.experiments.leases import held
from fedbrain.experiments.made_by import recorded
from fedbrain.experiments.study import Cell, cells, draw_problems, fingerprint
from fedbrain.experiments.study_cell import Scores
from fedbrain.experiments.study_choices import require_readable
from fedbrain.experiments.study_measure import measure
from fedbrain.experiments.study_ranges import is_tuned, trial_cells
from fedbrain.experiments.study_references import choose_per_client, floor, inner_problems
from fedbrain.experiments.study_results import (
    ScoresOfCells,
    Tuning,
    better_of,
    constant_of,
    results_of,
    show,
    write,
)
from fedbrain.experiments.study_tuning import (
    choose_settings,
    chosen_cells,
    put_together,
    validation_problems,
)
from fedbrain.experiments.workdir import claim


def by_name(todo: list[Cell], scores: list[Scores]) -> ScoresOfCells:
    """(method, attack) -> scores.

    Args:
      todo: the cells.
      scores: of each.
    """
    return {(cell.method, cell.attack): one for cell, one in zip(todo, scores)}


def tune(
    config: Any, problems: list[Problem], held_out: list[Problem], workdir: Path, better: int
) -> tuple[ScoresOfCells, list[Tuned]]:
    """Test scores of the settings that validation examples chose, and what was tried.

    Args:
      config: of the study.
      problems: the data of every seed.
      held_out: the same with validation examples in place of the test.
      workdir: of the study.
      better: 1 when large scores are good, else -1.
    """
    trials = trial_cells(config)
    tried = measure(trials, config, held_out, workdir / "tuning")
    reduce = partial(study_table.reduce_history, score=config.score, better=better)
    tuned = choose_settings(trials, tried, reduce, better)
    todo = chosen_cells(config, tuned)
    return put_together(todo, measure(todo, config, problems, workdir / "cells")), tuned


def cross_validate(
    config: Any, measured: ScoresOfCells, problems: list[Problem], workdir: Path, better: int
) -> ScoresOfCells:
    """Scores where every client chooses a method by cross-validation on its own training examples.

    Args:
      config: of the study; `choices` names the methods to choose among.
      measured: scores of every method.
      problems: the data of every seed.
      workdir: of the study.
      better: 1 when large scores are good, else -1.
    """
    if not config.choices:
        return {}
    names = {name for options in config.choices.values() for name in options}
    todo = [cell for cell in cells(config) if cell.method in names]
    folds = inner_problems(problems, config.folds)
    inner = by_name(todo, measure(todo, config, folds, workdir / "cross-validation"))
    return {
        (choice, attack): choose_per_client(
            [measured[n, attack] for n in options],
            [inner[n, attack] for n in options],
            config.folds,
            better,
        )
        for choice, options in config.choices.items()
        for attack in config.attacks
    }


def run(config: Any, workdir: Path) -> None:
    """Runs a study: measures every cell, then writes, draws and prints the comparison.

    Args:
      config: an `ml_collections.ConfigDict` with the fields of `configs/study.py`.
      workdir: where results go; the same call goes on with the cells that are left. Several
        processes may work here at once.

    Raises:
      ValueError: one sentence that names the field.
    """
    problems = draw_problems(config)
    first = problems[0]
    require_readable(config, first)
    held_out = validation_problems(config, problems) if is_tuned(config) else []
    kind = {"unit": first.unit, "synthetic": first.synthetic}
    identity = {"config": config.to_dict(), "data": fingerprint(problems)}
    with claim(workdir, identity, shared=True), recorded(workdir, shared=True):
        measured, tuning = scores_of(config, problems, held_out, workdir)
        results = results_of(config, measured, first, tuning)
        with held(workdir, wait=True):  # all write the same, one after the other
            write(results, workdir, **kind)
    show(results, workdir, seeds=config.seeds, **kind)


def scores_of(
    config: Any, problems: list[Problem], held_out: list[Problem], workdir: Path
) -> tuple[ScoresOfCells, Tuning | None]:
    """The scores of every line of the table, and what was tuned.

    Args:
      config: of the study.
      problems: the data of every seed.
      held_out: the same with validation examples in place of the test; none: nothing is tuned.
      workdir: of the study.
    """
    better, tuning = better_of(problems[0].unit), None
    if held_out:
        measured, methods = tune(config, problems, held_out, workdir, better)
        tuning = Tuning(methods, constant_of(held_out))
    else:
        todo = list(cells(config))
        measured = by_name(todo, measure(todo, config, problems, workdir / "cells"))
    measured |= cross_validate(config, measured, problems, workdir, better)
    measured |= {(study_table.FLOOR, attack): floor(problems) for attack in config.attacks}
    return measured, tuning
