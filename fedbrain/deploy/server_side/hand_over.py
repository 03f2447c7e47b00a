"""What the server's side of a job and a lead on another machine tell each other: the status while
the job runs, the results when it is over.

Where the lead works on the server's disk none of this is used: both look into one work directory.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fedbrain.deploy.server_side.status import lose_sites, read_status

FOLDER = "fedbrain"  # of a job's own files at the engine: what it gives
TOPIC = "fedbrain"  # of the lead's commands to a job that runs
ORDERS = ("stop", "lost.json")  # files by which a lead changes the course of a job
# what each machine has of its own, and what only the server needs
OWN = {"config.json", "made_by.json", "events.jsonl", "job", "job.json", "initial", *ORDERS}
OWN |= {"conductor", "aggregated", ".lock", ".lease"}


def forget_orders(workdir: Path) -> None:
    """Removes what a lead ordered for an earlier job.

    Args:
      workdir: of the run.
    """
    for name in ORDERS:
        (workdir / name).unlink(missing_ok=True)


def take_orders(workdir: Path, orders: Mapping[str, Any]) -> dict[str, Any]:
    """Follows a lead's orders, and tells what the job is doing.

    Args:
      workdir: of the run, at the server.
      orders: `stop`, whether to end the job after this round; `lost`, sites that are gone.

    Returns:
      The fields of `status.json`.
    """
    if orders["stop"]:
        (workdir / "stop").touch()
    lose_sites(workdir, orders["lost"])
    return read_status(workdir)


def take_start(workdir: Path, app: Path) -> None:
    """Takes over the first model that came with the job.

    Args:
      workdir: of the run, at the server.
      app: the job's folder at the engine.
    """
    if (app / "initial").is_dir():
        shutil.copytree(app / "initial", workdir / "initial", dirs_exist_ok=True)


def hand_over(workdir: Path, given: Path) -> None:
    """Puts what a lead needs beside the job's own files: all of a finished run, the status of
    another one.

    Args:
      workdir: of the run, at the server.
      given: folder of what the job gives; made.
    """
    if (workdir / "results.json").is_file():
        shutil.copytree(workdir, given, ignore=_is_own, dirs_exist_ok=True)
    elif (workdir / "status.json").is_file():
        given.mkdir(parents=True, exist_ok=True)
        shutil.copy(workdir / "status.json", given)


def take_over(given: Path, workdir: Path) -> None:
    """Puts what a job gave into the lead's work directory.

    `results.json`, which says that all of it is there, comes last.

    Args:
      given: what `hand_over` made, as it came from the server.
      workdir: of the lead.
    """
    last = given / "results.json"
    paths = [p for p in sorted(given.rglob("*")) if p.is_file() and not p.is_symlink()]
    for path in sorted(paths, key=lambda p: p == last):
        where = path.relative_to(given)
        if not OWN.isdisjoint(where.parts):
            continue
        to = workdir / where
        to.parent.mkdir(parents=True, exist_ok=True)
        arriving = to.with_name(f"{to.name}.arriving")
        shutil.copyfile(path, arriving)
        arriving.replace(to)


def _is_own(folder: str, names: list[str]) -> set[str]:
    del folder
    return OWN & set(names)
