"""A person at the site approves a job by its hash, after reading in plain words what it may ask.

`local/approved.json` of the kit holds the hashes; `fedbrain/waiting` the jobs that came and wait.
"""

import datetime
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fedbrain.deploy.protocol.job import job_hash, require_job
from fedbrain.deploy.protocol.wire import Refused
from fedbrain.experiments.workdir import write_json

LARGEST, MOST = 1 << 18, 32  # bytes of a job that waits, and how many may
APPROVED, WAITING = "local/approved.json", "fedbrain/waiting"


class NotApproved(Refused):
    """A job that a person has not approved yet."""


def read_approved(path: Path) -> frozenset[str]:
    """The hashes in a file; none when there is no file.

    Args:
      path: of the file.

    Raises:
      ValueError: when it is damaged.
    """
    if not path.is_file():
        return frozenset()
    try:
        return frozenset(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError):
        raise ValueError(f"{path}: expected hashes of jobs, got a damaged file.") from None


def require_approval(approved: frozenset[str], job: Mapping[str, Any]) -> None:
    """Raises NotApproved when a job's hash is not among those that were approved.

    Args:
      approved: hashes.
      job: as it came.
    """
    if job_hash(job) not in approved:
        raise NotApproved(
            f"job {job_hash(job)}: expected one that a person at this site has approved, got one"
            " that waits: they read it with `fedbrain site review`"
        )


def keep_waiting(kit: Path, job: Mapping[str, Any]) -> None:
    """Keeps a job for `review`; not one that is too large, nor more than a few.

    Args:
      kit: of the site.
      job: as it came.
    """
    path = kit / WAITING / f"{job_hash(job)}.json"
    others = list(path.parent.glob("*.json"))
    if not path.is_file() and len(json.dumps(job)) <= LARGEST and len(others) < MOST:
        write_json(path, job)


def read_job(folder: Path) -> dict[str, Any]:
    """The job in a folder that `write_job` wrote.

    Args:
      folder: of the job.

    Raises:
      ValueError: when it holds none.
    """
    path = folder / "app/config/config_fed_client.json"
    try:
        client = json.loads(path.read_text(encoding="utf-8"))
        job = client["executors"][0]["executor"]["args"]["job"]
        require_job(job)
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise ValueError(f"{folder}: expected the folder of a job, got: {error}.") from None
    return job


def waiting(kit: Path, folder: Path | None = None) -> dict[str, dict[str, Any]]:
    """Hash -> job: the one in a folder, or all that came and wait.

    Args:
      kit: of the site.
      folder: of a job.
    """
    if folder is not None:
        job = read_job(folder)
        return {job_hash(job): job}
    jobs = [
        json.loads(p.read_text(encoding="utf-8")) for p in sorted((kit / WAITING).glob("*.json"))
    ]
    return {job_hash(job): job for job in jobs}


def approve(kit: Path, hash: str, folder: Path | None = None) -> str:
    """Records that a person approves a job.

    Args:
      kit: of the site.
      hash: of the job, as `review` prints it.
      folder: of the job; None: one that came and waits.

    Returns:
      A sentence.

    Raises:
      ValueError: when there is no job of this hash.
    """
    jobs = waiting(kit, folder)
    if hash not in jobs:
        raise ValueError(
            "--hash: expected the hash of a job that waits or of --job,"
            f" {', '.join(jobs) or 'none'}, got {hash!r}."
        )
    path = kit / APPROVED
    known = json.loads(path.read_text(encoding="utf-8")) if read_approved(path) else {}
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    write_json(path, {**known, hash: now})
    (kit / WAITING / f"{hash}.json").unlink(missing_ok=True)
    return f"Approved: {hash}. The site takes part when the job comes the next time."
