"""A person at the site approves a job by its hash, or a whole study by its own, after reading in
plain words what it may ask.

`local/approved.json` of the kit holds the hashes; `fedbrain/waiting` the jobs that came and wait.
"""

import datetime
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fedbrain.deploy.protocol.job import job_hash, require_job
from fedbrain.deploy.protocol.study import study_hash
from fedbrain.deploy.protocol.wire import Refused
from fedbrain.experiments.workdir import write_json

LARGEST, MOST = 1 << 20, 32  # bytes of a job that waits, and how many may
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
        return frozenset(dict(json.loads(path.read_text(encoding="utf-8"))))
    except (ValueError, TypeError):
        raise ValueError(f"{path}: expected hashes of jobs, got a damaged file.") from None


def hash_of(job: Mapping[str, Any]) -> str:
    """What a person approves: the hash of the study that a job is of, or else of the job.

    Args:
      job: as it came.
    """
    return study_hash(job["study"]["experiments"]) if "study" in job else job_hash(job)


def is_of_approved_study(approved: frozenset[str], job: Mapping[str, Any]) -> bool:
    """Whether a job is of a study that a person has approved as a whole.

    Args:
      approved: hashes.
      job: that is what its study says.
    """
    return "study" in job and hash_of(job) in approved


def require_approval(approved: frozenset[str], job: Mapping[str, Any]) -> None:
    """Raises NotApproved when neither a job's hash nor its study's is among those approved.

    Args:
      approved: hashes.
      job: that is what its study says.
    """
    if not {job_hash(job), hash_of(job)} & approved:
        what = "study" if "study" in job else "job"
        raise NotApproved(
            f"{what} {hash_of(job)}: expected one that a person at this site has approved, got one"
            " that waits: they read it with `fedbrain site review`"
        )


def keep_waiting(kit: Path, job: Mapping[str, Any]) -> None:
    """Keeps a job for `review`: the newest few, and one of a study.

    The oldest makes room for a new one; a job that is still wanted comes again.

    Args:
      kit: of the site.
      job: as it came.

    Raises:
      NotApproved: when it is larger than any job that a person could read.
    """
    if (size := len(json.dumps(job))) > LARGEST:
        raise NotApproved(
            f"job {hash_of(job)}: expected at most {LARGEST:,} bytes to be kept for `fedbrain site"
            f" review`, got {size:,}: it cannot be approved here"
        )
    path = kit / WAITING / f"{hash_of(job)}.json"
    write_json(path, job)
    by_age = sorted(path.parent.glob("*.json"), key=lambda p: p.stat().st_mtime_ns)
    for oldest in [p for p in by_age if p != path][: max(0, len(by_age) - MOST)]:
        oldest.unlink(missing_ok=True)


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
    """Hash of a job or of its study -> the job: the one in a folder, or all that came and wait.

    Args:
      kit: of the site.
      folder: of a job.
    """
    if folder is not None:
        job = read_job(folder)
        return {hash_of(job): job}
    jobs = [
        json.loads(p.read_text(encoding="utf-8")) for p in sorted((kit / WAITING).glob("*.json"))
    ]
    return {hash_of(job): job for job in jobs}


def approve(kit: Path, hash: str, folder: Path | None = None) -> str:
    """Records that a person approves a job, or a study.

    Args:
      kit: of the site.
      hash: of the study or the job, as `review` prints it.
      folder: of the job; None: one that came and waits.

    Returns:
      A sentence.

    Raises:
      ValueError: when there is no job of this hash.
    """
    jobs = waiting(kit, folder)
    names = {job_hash(job): name for name, job in jobs.items()} | {name: name for name in jobs}
    if hash not in names:
        raise ValueError(
            "--hash: expected the hash of a job that waits or of --job,"
            f" {', '.join(jobs) or 'none'}, got {hash!r}."
        )
    path = kit / APPROVED
    known = json.loads(path.read_text(encoding="utf-8")) if read_approved(path) else {}
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    write_json(path, {**known, hash: now})
    (kit / WAITING / f"{names[hash]}.json").unlink(missing_ok=True)
    return f"Approved: {hash}. The site takes part when the job comes the next time."
