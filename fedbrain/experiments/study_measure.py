"""The cells of a study are run, each once: by this process, by another one now, or before."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fedbrain import progress
from fedbrain.data.problem import Problem
from fedbrain.experiments import interrupt
from fedbrain.experiments.leases import Busy, held, is_held
from fedbrain.experiments.stored_json import read_stored
from fedbrain.experiments.study import Cell
from fedbrain.experiments.study_cell import Scores, run_cell
from fedbrain.experiments.workdir import write_json

WAIT_S = 1.0  # between two looks at what other processes have finished


def measure(
    todo: Sequence[Cell], config: Any, problems: list[Problem], folder: Path
) -> list[Scores]:
    """The scores of every cell, in their order.

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
    return [read_scores(path) for path in paths]


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
                write_json(path, {**cell.identity(), **scores._asdict()})
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
