"""Checkpoints that survive kill -9 and notice a flipped bit.

Orbax commits a step atomically but checks no content: after each commit a manifest with the SHA-256
of every file is written, and a step is only trusted when its manifest verifies. A step without one
(killed in between) or with another content is removed and the next older one used.
"""

import hashlib
import json
import logging
import math
import os
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

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


def write_atomically(path: Path, text: str) -> None:
    """Writes a file so that a reader sees either the old content or the new.

    Args:
      path: of the file; its folder exists.
      text: the new content.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def tree_digest(tree: PyTree) -> str:
    """SHA-256 of a tree's names, shapes, dtypes and bytes: equal if and only if the trees are.

    Args:
      tree: of arrays.
    """
    digest = hashlib.sha256("\n".join(_schema(tree)).encode())
    for leaf in jax.tree.leaves(tree):
        digest.update(np.ascontiguousarray(leaf).tobytes())
    return digest.hexdigest()


class Checkpoints:
    """The steps of one federation. Saving is asynchronous; `close` waits for it."""

    def __init__(self, folder: Path, *, keep: int):
        self.steps = (folder / "steps").absolute()
        self.manifests = (folder / "manifests").absolute()
        self.manifests.mkdir(parents=True, exist_ok=True)
        options = ocp.CheckpointManagerOptions(
            max_to_keep=keep,
            create=True,
            cleanup_tmp_directories=True,
            enable_async_checkpointing=True,
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
          OSError: when the previous step could not be written.
        """
        self._complete()
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
            problem = self._verify(step)
            if problem:
                log.warning(
                    "checkpoint %s of %s is not used: %s", step, self.steps.parent.name, problem
                )
                self.manager.delete(step)
                continue
            self._require_schema(step, template)
            target = {name: np.zeros_like(x) for name, x in _leaves(template).items()}
            leaves = self.manager.restore(step, args=ocp.args.StandardRestore(target))  # pyright: ignore[reportCallIssue]
            values = [np.asarray(leaves[name]) for name in sorted(leaves)]
            return step, jax.tree.unflatten(jax.tree.structure(template), values)
        return None

    def flush(self) -> None:
        """Waits until the last step is safe."""
        self._complete()

    def close(self) -> None:
        """Flushes and lets go."""
        self._complete()
        self.manager.close()

    def _complete(self) -> None:
        if self.pending is None:
            return
        self.manager.wait_until_finished()
        (step, schema), self.pending = self.pending, None
        manifest = {"step": step, "schema": schema, "sha256": _digests(self.steps / str(step))}
        write_atomically(self._manifest(step), json.dumps(manifest, indent=1))
        for path in self.manifests.glob("*.json"):
            if not (self.steps / path.stem).exists():
                path.unlink()

    def _manifest(self, step: int) -> Path:
        return self.manifests / f"{step}.json"

    def _load(self, step: int) -> dict[str, Any]:
        return json.loads(self._manifest(step).read_text(encoding="utf-8"))

    def _verify(self, step: int) -> str:
        try:
            expected = self._load(step)["sha256"]
        except (FileNotFoundError, json.JSONDecodeError, KeyError):
            return "it has no readable manifest (the run was killed while saving)"
        present = _digests(self.steps / str(step))
        names = sorted(expected.keys() | present.keys())
        changed = [name for name in names if expected.get(name) != present.get(name)]
        return f"{changed[0]} is not the file that was saved" if changed else ""

    def _require_schema(self, step: int, template: PyTree) -> None:
        saved, wanted = self._load(step)["schema"], _schema(template)
        for old, new in zip(saved, wanted):
            if old != new:
                raise ValueError(
                    f"{self.steps / str(step)}: expected {new}, got {old}. Another model or"
                    " algorithm?"
                )
        if len(saved) != len(wanted):
            raise ValueError(
                f"{self.steps / str(step)}: expected {len(wanted)} arrays, got {len(saved)}."
            )
