"""Runs a grid: a first experiment, and rows that start from it, for every seed.

Each is an experiment in a folder of its own, WORKDIR/<row>/seed<k>. The same call goes on where it
stopped; several processes, at once, share the work.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from fedbrain.experiments import jobs
from fedbrain.experiments.experiment import run as conduct
from fedbrain.experiments.spec import at_least
from fedbrain.experiments.workdir import claim

FIRST = "first"  # the folder of the experiment that rows start from


class Cell(NamedTuple):
    """One experiment of the grid."""

    row: str  # name of the row, or "first"
    seed: int  # its number, from 0
    config: Any  # an `ml_collections.ConfigDict` of an experiment
    folder: Path  # its work directory
    needs: Path | None  # work directory of the experiment that it starts from

    @property
    def job(self) -> jobs.Job:
        """As several processes share it."""
        return jobs.Job(f"{self.row}, seed {self.seed}", self.config, self.folder, self.needs)

    @property
    def done(self) -> bool:
        """Whether its results are there."""
        return self.job.done


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
    """`jobs.attempt` of a cell.

    Args:
      cell: the experiment.
    """
    return jobs.attempt(cell.job, conduct)


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
    left = [cell for cell in todo if not cell.done and cell.seed == 0]
    jobs.require_readable([(cell.row, cell.config) for cell in left])
    with claim(workdir, {"config": config.to_dict()}, shared=True):
        jobs.run_all([cell.job for cell in todo], conduct, title=workdir.name)
    print(f"{len(todo)} experiments are finished. Tables: fedbrain tables {workdir}")
