"""Runs a grid: a first experiment, and rows that start from it, for every seed.

Each is an experiment in a folder of its own, WORKDIR/<row>/seed<k>. The same call goes on where it
stopped; several processes, at once, share the work.
"""

import time
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from fedbrain import progress
from fedbrain.experiments.clients import load_sites
from fedbrain.experiments.config import read_experiment
from fedbrain.experiments.experiment import run as conduct
from fedbrain.experiments.leases import Busy, is_held
from fedbrain.experiments.spec import at_least
from fedbrain.experiments.workdir import claim

FIRST = "first"  # the folder of the experiment that rows start from
WAIT_S = 5.0  # between two looks at what other processes have finished


class Cell(NamedTuple):
    """One experiment of the grid."""

    row: str  # name of the row, or "first"
    seed: int  # its number, from 0
    config: Any  # an `ml_collections.ConfigDict` of an experiment
    folder: Path  # its work directory
    needs: Path | None  # work directory of the experiment that it starts from

    @property
    def done(self) -> bool:
        """Whether its results are there."""
        return (self.folder / "results.json").is_file()


def cells(config: Any, workdir: Path) -> Iterator[Cell]:
    """Every experiment, seed by seed; a row comes after the experiment that it starts from.

    Seed k shifts the seed of weights, order and augmentation by k, and `splits.first` by k *
    repeats, so that every seed has its own test subjects. Text of a row may name the first
    experiment's folder as `{first}`.

    Args:
      config: of the grid.
      workdir: of the grid.

    Raises:
      ValueError: when a row sets a field that an experiment does not have.
    """
    for seed in range(at_least("seeds", config.seeds, 1)):
        first = workdir / FIRST / f"seed{seed}"
        yield Cell(FIRST, seed, _reseeded(config.first, seed), first, None)
        for row, fields in config.rows.items():
            changed: Any = ConfigDict(config.second.to_dict())
            changed.lock()
            try:
                changed.update(fields)
            except (KeyError, TypeError, AttributeError) as error:
                raise ValueError(
                    f"config.rows.{row}: sets a field that an experiment does not have: {error}"
                ) from None
            changed = ConfigDict(_filled(changed.to_dict(), str(first)))
            yield Cell(row, seed, _reseeded(changed, seed), workdir / row / f"seed{seed}", first)


def _reseeded(config: Any, seed: int) -> Any:
    reseeded: Any = ConfigDict(config.to_dict())
    reseeded.seed += seed
    reseeded.splits.first += seed * reseeded.splits.repeats
    return reseeded


def _filled(value: Any, first: str) -> Any:
    """The same with `{first}` replaced in every text."""
    if isinstance(value, dict):
        return {name: _filled(v, first) for name, v in value.items()}
    if isinstance(value, list | tuple):
        return tuple(_filled(v, first) for v in value)
    return value.replace("{first}", first) if isinstance(value, str) else value


def attempt(cell: Cell) -> bool:
    """Runs an experiment to its end; False when another process is at work on it, or on the one
    that it starts from.

    What the experiment prints is kept beside its results, in `log.txt`.

    Args:
      cell: the experiment.

    Raises:
      ValueError: naming the row and the seed, when the experiment cannot be run.
    """
    if is_held(cell.folder) or (
        cell.needs is not None and not (cell.needs / "results.json").is_file()
    ):
        return False
    cell.folder.mkdir(parents=True, exist_ok=True)
    try:
        with (cell.folder / "log.txt").open("a") as log, redirect_stdout(log):
            conduct(cell.config, cell.folder)
    except Busy:
        return False
    except ValueError as error:
        raise ValueError(f"{cell.row}, seed {cell.seed}: {error}") from None
    return True


def require_readable(todo: list[Cell]) -> None:
    """Reads the fields and looks at the sites of all experiments, so that what the last one would
    be refused for is told before the first one runs.

    Args:
      todo: the experiments.

    Raises:
      ValueError: naming the row and the field or every site.
    """
    seen: list[Any] = []
    for cell in [cell for cell in todo if cell.seed == 0]:
        try:
            experiment = read_experiment(cell.config)
            data = (cell.config.sites, cell.config.prepare, cell.config.modalities)
            if data not in seen:
                seen.append(data)
                load_sites(experiment, scratch=Path(experiment.cache, "not-prepared"))
        except ValueError as error:
            raise ValueError(f"{cell.row}: {error}") from None


def run(config: Any, workdir: Path) -> None:
    """Runs a grid: every experiment that is not finished, and not at work in another process.

    Args:
      config: an `ml_collections.ConfigDict` with the fields of a grid, such as
        `configs/paper_synthetic.py`.
      workdir: where results go; the same call goes on where it stopped.

    Raises:
      ValueError: one sentence that names the row or the field.
    """
    todo = list(cells(config, workdir))
    if FIRST in config.rows:
        raise ValueError(f"config.rows: expected names other than {FIRST!r}, got it.")
    require_readable([cell for cell in todo if not cell.done])
    with (
        claim(workdir, {"config": config.to_dict()}, shared=True),
        progress.Steps(workdir.name, unit="experiment", total=len(todo)) as steps,
    ):
        while left := [cell for cell in todo if not cell.done]:
            for cell in left:
                name = f"{cell.row}, seed {cell.seed}"
                steps.now(name)
                if not cell.done and attempt(cell):
                    steps.reach(sum(cell.done for cell in todo), f"{name} is finished")
                    break
            else:
                time.sleep(WAIT_S)  # other processes are at work on what is left
    print(f"{len(todo)} experiments are finished. Tables: fedbrain tables {workdir}")
