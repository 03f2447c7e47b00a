"""A site withdraws, from one job or study or from everything: it answers no further question, also
of a job that runs. `local/withdrawn.json` of the kit says from what, and since when.
"""

import datetime
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fedbrain.deploy.protocol.job import job_hash
from fedbrain.deploy.protocol.wire import Refused
from fedbrain.deploy.site_side.approval import APPROVED, hash_of, read_approved, waiting
from fedbrain.experiments.workdir import write_json

WITHDRAWN = "local/withdrawn.json"
EVERYTHING = "everything"


def read_withdrawn(path: Path) -> dict[str, str]:
    """Hash of a job or a study, or `EVERYTHING` -> since when; empty when there is no file.

    Args:
      path: of the file.

    Raises:
      ValueError: when it is damaged.
    """
    if not path.is_file():
        return {}
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError):
        raise ValueError(
            f"{path}: expected hashes of jobs and times, got a damaged file."
        ) from None


def require_not_withdrawn(withdrawn: Mapping[str, str], job: Mapping[str, Any]) -> None:
    """Raises Refused for a job from which the site withdrew.

    Args:
      withdrawn: as `read_withdrawn` returns it.
      job: as it came.
    """
    for what in (EVERYTHING, hash_of(job), job_hash(job)):
        if what in withdrawn:
            raise Refused(
                f"this site withdrew from {what} at {withdrawn[what]}: expected no question, got"
                " one. People there decide"
            )


def withdraw(kit: Path, hash: str | None = None) -> str:
    """Records that the site answers no further question; the next one finds it.

    Args:
      kit: of the site.
      hash: of a job or a study that was approved or waits; None: of everything.

    Returns:
      A sentence.

    Raises:
      ValueError: for a hash of nothing known.
    """
    if hash is not None:
        known = sorted({*read_approved(kit / APPROVED), *waiting(kit)})
        if hash not in known:
            raise ValueError(
                "--hash: expected that of a job or study that was approved or waits,"
                f" {', '.join(known) or 'none'}, got {hash!r}. Without --hash the site withdraws"
                " from everything."
            )
    what = hash or EVERYTHING
    path = kit / WITHDRAWN
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    write_json(path, {what: now} | read_withdrawn(path))
    return (
        f"Withdrawn from {what}: no further question is answered, also of a job that runs. What was"
        " sent before cannot be taken back."
    )


def take_part(kit: Path, hash: str | None = None) -> str:
    """Undoes `withdraw`.

    Args:
      kit: of the site.
      hash: as it was given to `withdraw`.

    Returns:
      A sentence.

    Raises:
      ValueError: when the site did not withdraw from it.
    """
    what, path = hash or EVERYTHING, kit / WITHDRAWN
    known = read_withdrawn(path)
    if what not in known:
        raise ValueError(
            f"--hash: expected what this site withdrew from, {', '.join(known) or 'nothing'}, got"
            f" {what}."
        )
    write_json(path, {name: since for name, since in known.items() if name != what})
    return f"Takes part again: {what}."
