"""Checkpoints that survive kill -9 and notice a flipped bit.

Orbax commits a step atomically but checks no content: after each commit a manifest with the SHA-256
of every file is written, and a step is only trusted when its manifest verifies. A step without one
(killed in between) or with another content is removed and the next older one used.
"""

import hashlib
import json
import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from fedbrain.data.whole_file import write_whole
from fedbrain.experiments.one_process import alone
from fedbrain.experiments.stored_json import read_stored
from fedbrain.experiments.writing import writing
from fedbrain.types import PyTree

log = logging.getLogger(__name__)


def _leaves(tree: PyTree) -> dict[str, np.ndarray]:
    return {f"leaf_{i:05d}": np.asarray(x) for i, x in enumerate(jax.tree.leaves(tree))}


def _schema(tree: PyTree) -> list[str]:
    paths = jax.tree_util.tree_leaves_with_path(tree)
    return [
        f"{jax.tree_util.keystr(p)}: {np.asarray(x).dtype}{list(np.shape(x))}" for p, x in paths
    ]


def _digests(folder: Path) -> dict[str, str]:
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def tree_digest(tree: PyTree) -> str:
    """SHA-256 of a tree's names, shapes, dtypes and bytes: equal if and only if the trees are.

    Args:
      tree: of arrays.
    """
    digest = hashlib.sha256("\n".join(_schema(tree)).encode())
    for leaf in jax.tree.leaves(tree):
        digest.update(np.ascontiguousarray(leaf).tobytes())
    return digest.hexdigest()


def arrays_to_fill(template: PyTree) -> dict[str, np.ndarray]:
    """Zeros of the shapes and types that a checkpoint of such a tree holds.

    Args:
      template: a tree of the same kind.
    """
    return {name: np.zeros_like(x) for name, x in _leaves(template).items()}


def to_tree(template: PyTree, leaves: Mapping[str, Any]) -> PyTree:
    """The tree whose leaves a checkpoint holds.

    Args:
      template: a tree of the same kind.
      leaves: with the names of `arrays_to_fill`.
    """
    values = [np.asarray(leaves[name]) for name in sorted(leaves)]
    return jax.tree.unflatten(jax.tree.structure(template), values)


def _manifest(folder: Path, step: int) -> Path:
    return folder / "manifests" / f"{step}.json"


def _read_manifest(folder: Path, step: int) -> dict[str, Any]:
    return read_stored(_manifest(folder, step), "the digests of a checkpoint")


def problem_of(folder: Path, step: int) -> str:
    """Why a step cannot be trusted; empty when every file is the one that was saved.

    Args:
      folder: of `steps` and `manifests`.
      step: its number.
    """
    try:
        expected = dict(_read_manifest(folder, step)["sha256"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return "it has no readable manifest (saving it did not end, or it was not copied)"
    present = _digests(folder / "steps" / str(step))
    names = sorted(expected.keys() | present.keys())
    changed = [name for name in names if expected.get(name) != present.get(name)]
    return f"{changed[0]} is not the file that was saved" if changed else ""


def require_schema(folder: Path, step: int, template: PyTree) -> None:
    """Raises ValueError when a step holds another kind of tree.

    Args:
      folder: of `steps` and `manifests`.
      step: its number.
      template: the tree that is expected.
    """
    path = folder / "steps" / str(step)
    saved, wanted = _read_manifest(folder, step).get("schema", []), _schema(template)
    for old, new in zip(saved, wanted):
        if old != new:
            raise ValueError(f"{path}: expected {new}, got {old}. Another model or algorithm?")
    if len(saved) != len(wanted):
        raise ValueError(f"{path}: expected {len(wanted)} arrays, got {len(saved)}.")


def _require_manifests(folder: Path) -> None:
    """Refuses a copy without manifests, whose steps would all be deleted.

    A run that was killed has at most one step whose manifest was not written yet, and the folder of
    manifests is older than every step.
    """
    steps = [path.name for path in (folder / "steps").glob("*") if path.name.isdigit()]
    manifests = folder / "manifests"
    if steps and (not manifests.is_dir() or (len(steps) > 1 and not any(manifests.iterdir()))):
        raise ValueError(
            f"{folder}: expected a manifest for the steps {', '.join(sorted(steps, key=int))}, got"
            " none. If this is a copy, copy checkpoints/manifests too; nothing was deleted."
        )


class Checkpoints:
    """The steps of one federation. Saving is asynchronous; `close` waits for it.

    Raises:
      ValueError: when there are steps and no manifests, as in a copy of only some folders.
    """

    def __init__(self, folder: Path, *, keep: int):
        self.folder = folder.absolute()
        self.steps = self.folder / "steps"
        self.manifests = self.folder / "manifests"
        _require_manifests(self.folder)
        self.manifests.mkdir(parents=True, exist_ok=True)
        self.steps.mkdir(exist_ok=True)
        options = ocp.CheckpointManagerOptions(
            max_to_keep=keep,
            create=False,  # orbax creates folders by all processes together
            cleanup_tmp_directories=True,
            enable_async_checkpointing=True,
            multiprocessing_options=alone(),
        )
        self.manager = ocp.CheckpointManager(self.steps, options=options)
        self.pending: tuple[int, list[str]] | None = None

    def save(self, step: int, tree: PyTree) -> None:
        """Starts to save; the step before is completed first, so that errors such as a full disk
        show up here.

        Args:
          step: its number.
          tree: of arrays.

        Raises:
          WriteError: when this step or the previous one could not be written.
        """
        self._complete()
        with writing(self.folder, (OSError, ValueError)):
            self.manager.save(step, args=ocp.args.StandardSave(_leaves(tree)))  # pyright: ignore[reportCallIssue]
        self.pending = (step, _schema(tree))

    def steps_saved(self) -> list[int]:
        """In ascending order; whether they verify is not looked at."""
        self._complete()
        return sorted(self.manager.all_steps())

    def drop_from(self, step: int) -> None:
        """Deletes a step and all later ones, so that it can be saved anew.

        Args:
          step: the first one to delete.
        """
        for saved in self.steps_saved():
            if saved >= step:
                self.manager.delete(saved)

    def restore_latest(
        self, template: PyTree, *, at_most: float | int = math.inf
    ) -> tuple[int, PyTree] | None:
        """(step, tree) of the newest step that verifies; None when there is none.

        Args:
          template: of the same kind.
          at_most: later steps are passed over.

        Raises:
          ValueError: when a verified step holds another kind of tree than `template`.
        """
        self._complete()
        for step in sorted(self.manager.all_steps(), reverse=True):
            if step > at_most:
                continue
            problem = problem_of(self.folder, step)
            if problem:
                log.warning("checkpoint %s of %s is not used: %s", step, self.folder.name, problem)
                self.manager.delete(step)
                continue
            require_schema(self.folder, step, template)
            target = ocp.args.StandardRestore(arrays_to_fill(template))  # pyright: ignore[reportCallIssue]
            return step, to_tree(template, self.manager.restore(step, args=target))
        return None

    def flush(self) -> None:
        """Waits until the last step is safe."""
        self._complete()

    def close(self) -> None:
        """Flushes and lets go."""
        self._complete()
        with writing(self.folder, (OSError, ValueError)):
            self.manager.close()

    def _complete(self) -> None:
        if self.pending is None:
            return
        (step, schema), self.pending = self.pending, None
        with writing(self.folder, (OSError, ValueError)):
            self.manager.wait_until_finished()
            manifest = {"step": step, "schema": schema, "sha256": _digests(self.steps / str(step))}
            write_whole(_manifest(self.folder, step), json.dumps(manifest, indent=1))
        for path in self.manifests.glob("*.json"):
            if not (self.steps / path.stem).exists():
                path.unlink()
