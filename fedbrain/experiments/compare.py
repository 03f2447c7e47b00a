"""Compares algorithms: python -m fedbrain.compare --config=configs/aggregation_study.py
[--workdir=DIR].

Methods x attacks x seeds; prints mean, interval, range and rank of each. The same command goes on
with an interrupted study.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from fedbrain.analysis import study_table
from fedbrain.data.problems import Problem
from fedbrain.experiments import study
from fedbrain.experiments.workdir import claim, write_json

Found = dict[tuple[str, str], study.Scores]


def measure(todo: list[study.Cell], config: Any, problems: list[Problem], folder: Path) -> Found:
    """Every cell, from its file when it was finished before."""
    found: Found = {}
    with tqdm(total=len(todo), unit="cell", desc=folder.name) as bar:
        for number, cell in enumerate(todo):
            bar.set_postfix_str(f"{cell.attack}: {cell.method}")
            path = folder / f"{number:03d}.json"
            if not path.is_file():
                scores = study.run_cell(cell, problems, config.seed)
                write_json(path, {"method": cell.method, "attack": cell.attack, **scores._asdict()})
            stored = json.loads(path.read_text())
            found[cell.method, cell.attack] = study.Scores(
                *(
                    np.asarray(stored[name], np.float64) for name in study.Scores._fields
                )  # null is NaN
            )
            bar.update()
    return found


def choose_at_home(
    config: Any, found: Found, problems: list[Problem], workdir: Path, better: int
) -> Found:
    """The methods among which every client chooses by cross-validation on its own training
    examples.
    """
    if not config.choices:
        return {}
    names = {name for options in config.choices.values() for name in options}
    unknown = sorted(names - set(config.methods))
    if unknown:
        raise ValueError(f"config.choices: expected names of methods, got {unknown}.")
    todo = [cell for cell in study.cells(config) if cell.method in names]
    folds = study.inner_problems(problems, config.folds)
    inner = measure(todo, config, folds, workdir / "cross-validation")
    return {
        (choice, attack): study.own_choice(
            [found[n, attack] for n in options],
            [inner[n, attack] for n in options],
            config.folds,
            better,
        )
        for choice, options in config.choices.items()
        for attack in config.attacks
    }


def run(config: Any, workdir: Path) -> None:
    """The story of a study."""
    problems = study.draw(config)
    first = problems[0]
    names = sorted(first.clients)
    better = 1 if first.unit == "accuracy" else -1
    with claim(workdir, {"config": config.to_dict(), "data": study.fingerprint(problems)}):
        found = measure(list(study.cells(config)), config, problems, workdir / "cells")
        found |= choose_at_home(config, found, problems, workdir, better)
        found |= {("floor: a constant", attack): study.floor(problems) for attack in config.attacks}
        order = sorted(found, key=lambda key: list(config.attacks).index(key[1]))
        reduced = {}
        for method, attack in order:
            scores, examples, skipped = found[method, attack]
            reduced[method, attack] = (
                study_table.reduce_history(scores, config.score, better),
                examples,
                skipped,
            )
        lines = study_table.summarise(reduced, names, better)
        kind = {"unit": first.unit, "synthetic": first.synthetic}
        write_json(
            workdir / "comparison.json", {**kind, "lines": [line._asdict() for line in lines]}
        )
        study_table.draw(workdir / "comparison.png", lines, **kind)
    print(study_table.render(lines, seeds=config.seeds, **kind))
    if config.against:
        print(study_table.render_differences(reduced, names, config.against))
    print(f"Results and figure: {workdir}")
