"""Runs a grid between hospitals: a first experiment, and rows that start from its best model, for
every seed, one after the other.

Each is an experiment of its own in WORKDIR/<row>/seed<k>, as in a simulated grid. The same call
goes on where it stopped. WORKDIR/study.json describes them all: sites approve it once, and later
experiments may have more sites.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

from fedbrain import progress
from fedbrain.deploy.protocol.runnable import require_runnable
from fedbrain.deploy.protocol.study import UNKNOWN, study_hash
from fedbrain.deploy.server_side.named_runs import name_runs
from fedbrain.deploy.server_side.study_description import (
    describe,
    place_of,
    sites_of,
    study_file,
)
from fedbrain.experiments import site_tables
from fedbrain.experiments.grid import FIRST, Cell, cells
from fedbrain.experiments.workdir import claim, write_json


class Targets(NamedTuple):
    """What is predicted, as sites name it."""

    first: str  # by the first experiment
    rows: str  # by those that start from it


@runtime_checkable
class RunCell(Protocol):
    """Runs an experiment between hospitals to its end, or goes on with it."""

    def __call__(self, workdir: Path, fields: Mapping[str, Any], /) -> None:
        """Takes its folder, and `config`, `target`, `sites` and `study` of the job."""
        ...


def require_cell(cell: Cell) -> None:
    """Raises ValueError, with the row and the seed, for what a consortium cannot run.

    Args:
      cell: of the grid.
    """
    config = cell.config.to_dict()
    if cell.needs is not None and str(cell.needs) in config["initial"]:
        config["initial"] = "random()"  # the job names that model by its hash when it is there
    try:
        config["baselines"] = name_runs(config["baselines"], {str(cell.needs): UNKNOWN})
        require_runnable(config)
    except ValueError as error:
        raise ValueError(f"{cell.row}, seed {cell.seed}: {str(error).rstrip('.')}.") from None


def run_cells(
    run_cell: RunCell,
    config: Any,
    workdir: Path,
    *,
    targets: Targets,
    sites: list[str],
    crossed: bool = False,
) -> None:
    """Runs every experiment of a grid that is not finished, and prints the tables.

    Args:
      run_cell: runs one.
      config: an `ml_collections.ConfigDict` with the fields of a grid.
      workdir: where results go.
      targets: of the first experiment and of the rows.
      sites: names, as in their certificates.
      crossed: whether each site's own model is tested by the others.

    Raises:
      ValueError: naming the row and what a consortium cannot run; nothing is sent then.
    """
    more = {"crossed": True} if crossed else {}
    todo = list(cells(config, workdir.absolute()))
    for cell in todo:
        require_cell(cell)
    names = [targets.first if cell.row == FIRST else targets.rows for cell in todo]
    experiments = describe(todo, names, sites, more)
    identity = {"config": config.to_dict(), "targets": targets._asdict(), **more}
    with claim(workdir, identity):
        write_json(study_file(workdir), experiments)
        progress.say(f"Sites may approve the whole study: {study_hash(experiments)}")
        for number, (cell, target) in enumerate(zip(todo, names), 1):
            if cell.done:
                continue
            progress.say(f"Experiment {number} of {len(todo)}: {cell.row}, seed {cell.seed}.")
            fields = {"config": cell.config.to_dict(), "target": target, **more}
            study = {"place": place_of(cell), "experiments": experiments}
            run_cell(cell.folder, {**fields, "sites": sites_of(cell, sites), "study": study})
    site_tables.run(workdir)
