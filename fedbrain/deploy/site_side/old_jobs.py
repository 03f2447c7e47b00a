"""Removes the engine's folders of old jobs from a site's kit. What outlives a job lies elsewhere,
in the kit's `fedbrain`.
"""

import shutil
import uuid
from pathlib import Path

KEPT = 20  # newest jobs, whose logs may be looked at


def remove_old_jobs(kit: Path, *, keep: int = KEPT) -> list[str]:
    """Removes all but the newest.

    Args:
      kit: of the site. Its folders that are named by a UUID and hold `meta.json` are of jobs.
      keep: how many stay.

    Returns:
      Names of what was removed.
    """
    jobs = [path.parent for path in kit.glob("*/meta.json") if _is_job(path.parent.name)]
    jobs.sort(key=lambda path: (path / "meta.json").stat().st_mtime)
    old = jobs[: max(len(jobs) - keep, 0)]
    for path in old:
        shutil.rmtree(path, ignore_errors=True)
    return [path.name for path in old]


def _is_job(name: str) -> bool:
    try:
        return str(uuid.UUID(name)) == name
    except ValueError:
        return False
