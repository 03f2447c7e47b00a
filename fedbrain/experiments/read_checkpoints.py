"""Reads checkpoints and leaves every file as it is, also those of a run in training.

Orbax's manager deletes unfinished saves when it is opened, and is made for one process. Here a step
is found by its folder and read by a checkpointer, which writes nothing.
"""

import logging
from pathlib import Path

import orbax.checkpoint as ocp

from fedbrain.experiments.checkpoints import (
    arrays_to_fill,
    problem_of,
    require_schema,
    to_tree,
)
from fedbrain.experiments.one_process import alone
from fedbrain.types import PyTree

log = logging.getLogger(__name__)


def read_newest(folder: Path, template: PyTree) -> PyTree:
    """The tree of the newest step that verifies.

    A run in training deletes old steps: the folder is listed again after each step that cannot be
    used, until no step is left that was not tried.

    Args:
      folder: of `steps` and `manifests`.
      template: a tree of the same kind.

    Raises:
      ValueError: when no step verifies, or one that does holds another kind of tree.
    """
    folder = folder.absolute()
    tried: set[tuple[int, bool]] = set()
    while untried := _saved(folder) - tried:
        step, _ = newest = max(untried)
        tried.add(newest)
        problem, tree = _read_verified(folder, step, template)
        if not problem:
            return tree
        log.warning("checkpoint %s of %s is not used: %s.", step, folder.parent, problem)
    steps = sorted({step for step, _ in tried})
    raise ValueError(
        f"{folder.parent}: expected a checkpoint that verifies, got none"
        + (f" among {', '.join(map(str, steps))}" if steps else "")
        + ". If this is a copy, copy checkpoints/steps and checkpoints/manifests again."
        " Otherwise run the experiment again."
    )


def _saved(folder: Path) -> set[tuple[int, bool]]:
    """(step, whether it has a manifest) of every step that was saved to its end."""
    names = [path.name for path in (folder / "steps").glob("*") if path.name.isdigit()]
    return {(int(name), (folder / "manifests" / f"{name}.json").is_file()) for name in names}


def _problem(folder: Path, step: int) -> str:
    try:
        return problem_of(folder, step)
    except FileNotFoundError:
        return "it was deleted meanwhile"


def _read_verified(folder: Path, step: int, template: PyTree) -> tuple[str, PyTree]:
    """(why the step cannot be used, or empty; its tree). A run may delete the step meanwhile."""
    problem = _problem(folder, step)
    if problem:
        return problem, None
    try:
        tree = _read(folder, step, template)
    except Exception:
        problem = _problem(folder, step)
        if problem:
            return problem, None
        raise  # every file is whole: another kind of tree, for instance
    return _problem(folder, step), tree


def _read(folder: Path, step: int, template: PyTree) -> PyTree:
    require_schema(folder, step, template)
    options = alone()
    handler = ocp.StandardCheckpointHandler(multiprocessing_options=options)
    with ocp.Checkpointer(handler, multiprocessing_options=options) as checkpointer:
        target = ocp.args.StandardRestore(arrays_to_fill(template))  # pyright: ignore[reportCallIssue]
        leaves = checkpointer.restore(folder / "steps" / str(step) / "default", args=target)
    return to_tree(template, leaves)
