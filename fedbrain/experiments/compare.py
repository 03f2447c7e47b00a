"""Runs a study and compares its methods: mean, interval, range and rank of each, under every
attack.

Cells are written as they are finished and are not run again, so that an interrupted study goes on
where it stopped. Several processes, at once and on any hosts that share the folder, share the
cells.
"""

import time
from pathlib import Path
from typing import Any

import numpy as np

from fedbrain import progress
from fedbrain.analysis import study_table
from fedbrain.data.problems import Problem
from fedbrain.experiments import interrupt
from fedbrain.experiments.leases import Busy, held, is_held
from fedbrain.experiments.made_by import recorded
from fedbrain.experiments.stored_json import read_stored
from fedbrain.experiments.study import Cell, cells, draw_problems, fingerprint
from fedbrain.experiments.study_cell import Scores, run_cell
from fedbrain.experiments.study_choices import require_readable
from fedbrain.experiments.study_references import choose_per_client, floor, inner_problems
from fedbrain.experiments.workdir import claim, write_json

WAIT_S = 1.0  # between two looks at what other processes have finished
ScoresOfCells = dict[tuple[str, str], Scores]  # (method, attack) -> scores


def measure(todo: list[Cell], config: Any, problems: list[Problem], folder: Path) -> ScoresOfCells:
    """The scores of every cell: run here, by another process now, or before.

    Args:
      todo: the cells.
      config: of the study.
      problems: the data of every seed.
      folder: of the cells' files.
    """
    paths = [folder / f"{number:03d}.json" for number in range(len(todo))]
    with progress.Steps(folder.name, unit="cell", total=len(todo)) as steps:
        while left := [k for k, path in enumerate(paths) if not path.is_file()]:
            for k in left:
                steps.now(f"{todo[k].attack}: {todo[k].method}")
                if attempt(todo[k], config, problems, paths[k]):
                    done = sum(path.is_file() for path in paths)
                    steps.reach(done, f"{todo[k].attack}: {todo[k].method}")
                    break
            else:
                interrupt.check()
                time.sleep(WAIT_S)  # other processes are at work on what is left
        steps.reach(len(todo), "all cells")
    return {(c.method, c.attack): read_scores(path) for c, path in zip(todo, paths)}


def attempt(cell: Cell, config: Any, problems: list[Problem], path: Path) -> bool:
    """Runs a cell to its end; False when another process is at work on it.

    Args:
      cell: of the study.
      config: of the study.
      problems: the data of every seed.
      path: of its scores.
    """
    lease = path.parent / "leases" / path.stem
    if is_held(lease):
        return False
    lease.mkdir(parents=True, exist_ok=True)
    try:
        with held(lease):
            if not path.is_file():  # another process may just have finished it
                scores = run_cell(cell, problems, config.seed)
                write_json(path, {"method": cell.method, "attack": cell.attack, **scores._asdict()})
    except Busy:
        return False
    return True


def read_scores(path: Path) -> Scores:
    """The scores of a finished cell.

    Args:
      path: of its file.
    """
    stored = read_stored(path, "the scores of a cell")
    return Scores(*(np.asarray(stored[f], np.float64) for f in Scores._fields))  # null is NaN


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
    inner = measure(todo, config, folds, workdir / "cross-validation")
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
    names = sorted(first.clients)
    better = 1 if first.unit == "accuracy" else -1
    identity = {"config": config.to_dict(), "data": fingerprint(problems)}
    with claim(workdir, identity, shared=True), recorded(workdir, shared=True):
        measured = measure(list(cells(config)), config, problems, workdir / "cells")
        measured |= cross_validate(config, measured, problems, workdir, better)
        measured |= {(study_table.FLOOR, attack): floor(problems) for attack in config.attacks}
        order = sorted(measured, key=lambda key: list(config.attacks).index(key[1]))
        reduced = {}
        for key in order:
            scores, examples, skipped = measured[key]
            final = study_table.reduce_history(scores, config.score, better)
            reduced[key] = (final, examples, skipped)
        lines = study_table.summarise(reduced, names, better)
        paired = study_table.render_differences(reduced, names, tuple(config.against))
        kind = {"unit": first.unit, "synthetic": first.synthetic}
        numbers = {"lines": [line._asdict() for line in lines], "differences": paired.splitlines()}
        with held(workdir, wait=True):  # all write the same, one after the other
            write_json(workdir / "comparison.json", {**kind, **numbers})
            study_table.draw(workdir / "comparison.png", lines, **kind)
    print(study_table.render(lines, seeds=config.seeds, **kind))
    if paired:
        print(paired)
    print(f"Results and figure: {workdir}")
