"""Describes a grid between hospitals as a study, which sites approve once."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fedbrain.deploy.protocol.config_hash import OWN, config_hash
from fedbrain.deploy.protocol.crossed import require_crossed
from fedbrain.deploy.protocol.runnable import count_splits
from fedbrain.deploy.protocol.study import require_experiments
from fedbrain.deploy.server_side.named_runs import name_runs
from fedbrain.experiments.grid import Cell
from fedbrain.experiments.spec import bind
from fedbrain.experiments.starting_point import INITIALS
from fedbrain.experiments.workdir import clean, read_config


def place_of(cell: Cell) -> str:
    """The name of an experiment in the study.

    Args:
      cell: of the grid.
    """
    return f"{cell.row}/seed{cell.seed}"


def sites_of(cell: Cell, sites: Sequence[str]) -> list[str]:
    """The sites of an experiment: those with which it began, or else the present ones.

    Args:
      cell: of the grid.
      sites: that take part from now on.
    """
    begun = (cell.folder / "config.json").is_file()
    return list(read_config(cell.folder)["sites"] if begun else sites)


def start_of(cell: Cell, todo: Sequence[Cell]) -> str:
    """The start of an experiment as the study names it: `earlier(...)` for one from the grid's own.

    Args:
      cell: of the grid.
      todo: all experiments of the grid.

    Raises:
      ValueError: for a model of an earlier experiment that sites cannot know it by.
    """
    text = cell.config["initial"]
    if cell.needs is None or str(cell.needs) not in text:
        return text
    name, bound = bind(text, INITIALS)
    given = {**bound.arguments}
    head = given.pop("head", True)
    if name != "run" or given != {"workdir": str(cell.needs)}:
        raise ValueError(
            f"{cell.row}: config.initial: expected run('{{first}}') or run('{{first}}',"
            f" head=False), since the hospitals know that model, got {text!r}."
        )
    [first] = [place_of(other) for other in todo if other.folder == cell.needs]
    return f"earlier({first!r}, head={head})"


def describe(
    todo: Sequence[Cell],
    targets: Sequence[str],
    sites: Sequence[str],
    more: Mapping[str, Any],
) -> dict[str, Any]:
    """Place -> `config`, `target` and `sites` of every experiment of a grid.

    Args:
      todo: all experiments of the grid.
      targets: of each of them.
      sites: that take part from now on.
      more: fields of every job.

    Raises:
      ValueError: naming the row and the field.
    """
    experiments: dict[str, Any] = {}
    known: dict[str, str] = {}  # folder -> hash of its configuration, of experiments before
    for cell, target in zip(todo, targets, strict=True):
        fields = {k: v for k, v in cell.config.to_dict().items() if k not in OWN}
        named = {"baselines": name_runs(fields["baselines"], known)}
        config = clean({**fields, **named, "initial": start_of(cell, todo)})
        known[str(cell.folder)] = config_hash(config)
        own = {"config": config, "target": target, "sites": sites_of(cell, sites), **more}
        require_crossed(own, splits=count_splits(config))
        experiments[place_of(cell)] = own
    require_experiments(experiments)
    return experiments


def study_file(workdir: Path) -> Path:
    """Where the description lies.

    Args:
      workdir: of the grid.
    """
    return workdir / "study.json"
