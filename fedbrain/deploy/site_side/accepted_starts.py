"""Which first models a site accepts: what `[start]` of `site.toml` names, or none.

A server that may choose what a site trains on may ask more of its people than a random start does.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from fedbrain.deploy.protocol.first_model import Start, sent
from fedbrain.deploy.protocol.wire import Refused
from fedbrain.experiments.checkpoints import tree_digest
from fedbrain.models.files.weights import load
from fedbrain.types import Variables

KEYS: Mapping[str, type] = {"sha256": list, "runs": bool, "approved": bool}


class Starts(NamedTuple):
    """`[start]`."""

    hashes: frozenset[str] = frozenset()  # SHA-256 of variables
    runs: bool = False  # the best model of a run that this site saw to its end
    approved: bool = False  # any, in a job that a person here has approved


def read_starts(table: Mapping[str, Any], *, approval: bool) -> Starts:
    """Reads the table.

    Args:
      table: with keys of the right types.
      approval: whether a person must approve every job.

    Raises:
      ValueError: for what is no hash, and for `approved` where nobody approves.
    """
    for hash in table.get("sha256", []):
        try:
            sent(str(hash))
        except ValueError as error:
            raise ValueError(f"[start] {error}") from None
    if table.get("approved", False) and not approval:
        raise ValueError("[start] approved: expected approval = true with it, got false.")
    return Starts(
        frozenset(table.get("sha256", [])), table.get("runs", False), table.get("approved", False)
    )


def require_accepted(starts: Starts, start: Start | None, fresh: Variables, runs: Path) -> None:
    """Raises Refused for a first model that the site does not accept.

    Args:
      starts: of this site; a person has approved the job if the site wants that.
      start: the first model, where it is sent.
      fresh: variables of the job's seed.
      runs: folder of this site's runs.
    """
    if start is None or starts.approved or start.sha256 in starts.hashes:
        return
    if starts.runs and _of_own_run(start, fresh, runs):
        return
    unseen = ", which is not the best model of a run that it saw to its end" if starts.runs else ""
    raise Refused(
        "config.initial: expected a first model that this site accepts ([start] of its site.toml:"
        f" sha256, runs or approved), got {start.sha256}{unseen}"
    )


def _of_own_run(start: Start, fresh: Variables, runs: Path) -> bool:
    """Whether it is the best model of a run that this site saw to its end."""
    if not start.run:
        return False
    models = runs.glob(f"*-{start.run[:16]}/model.safetensors")
    digests = (tree_digest(load(fresh, str(path), head=start.head)[0]) for path in models)
    return start.sha256 in digests
