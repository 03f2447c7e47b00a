"""Runs one experiment of a consortium from a terminal: job, supervision, progress bar, report."""

import datetime
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from fedbrain import progress
from fedbrain.deploy.protocol.register import MOST_SCANS
from fedbrain.deploy.protocol.runnable import count_splits
from fedbrain.deploy.server_side.lead_elsewhere import LeadElsewhere, Session
from fedbrain.deploy.server_side.named_runs import name_runs
from fedbrain.deploy.server_side.starting_model import keep_start, name_start
from fedbrain.deploy.server_side.submit import write_job
from fedbrain.deploy.server_side.supervise import Run, supervise
from fedbrain.experiments.compiled import image_shape
from fedbrain.experiments.config import read_experiment
from fedbrain.experiments.made_by import recorded
from fedbrain.experiments.workdir import claim


def link_workdir(folder: Path, workdir: Path) -> None:
    """Makes the run's folder in the kit a link to the work directory.

    Args:
      folder: of the run, in the kit.
      workdir: of the experiment.

    Raises:
      ValueError: when this experiment has another work directory.
    """
    if folder.is_symlink() and folder.resolve() == workdir.resolve():
        return
    if folder.exists() or folder.is_symlink():
        raise ValueError(
            f"{workdir}: this experiment is at work in {folder.resolve()}. Take that as --workdir."
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.symlink_to(workdir.resolve(), target_is_directory=True)


def describe_status(status: Mapping[str, Any]) -> str:
    """One line: the task at hand, sites that are awaited or left out, losses, last contacts.

    Args:
      status: as the status file holds it, with `contact_s` of the sites.
    """
    parts = [str(status.get("doing", "waiting for the job to start"))]
    if status.get("waiting"):
        parts.append(f"waiting for {', '.join(status['waiting'])}")
    for site, why in sorted(status.get("left_out", {}).items()):
        parts.append(f"without {site} ({why[:60]})")
    if "valid_loss" in status:
        loss, best_round = status["valid_loss"], status["best_round"]
        parts.append(f"validation loss {loss:.3g}, best round {best_round}")
    if status.get("contact_s"):
        contacts = sorted(status["contact_s"].items())
        ages = ", ".join(f"{site} {seconds:.0f} s ago" for site, seconds in contacts)
        parts.append(f"last contact: {ages}")
    return "; ".join(parts)


def record_event(path: Path, sentence: str) -> None:
    """Appends a sentence and the time to a file of JSON lines.

    Args:
      path: of the file.
      sentence: what happened.
    """
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"time": now, "event": sentence}) + "\n")


def run_experiment(
    open_session: Callable[[], Session],
    kit: Path | None,
    workdir: Path,
    fields: Mapping[str, Any],
    *,
    fewest: int,
    deadline_s: int,
    most_scans: int = MOST_SCANS,
    at_start: int = 0,
) -> None:
    """Writes the job, supervises it until results are there, and prints the report.

    Args:
      open_session: connects to the engine as the consortium's lead.
      kit: of the server, on this machine; None: the server is another machine.
      workdir: of the experiment.
      fields: `config`, `target` and `sites` of the job; `crossed` and `study` where it has them.
      fewest: sites without which no round counts.
      deadline_s: longest wait for an answer, in seconds.
      most_scans: of a part that a site may declare.
      at_start: sites with which the run begins without the others; 0: all must be there.
    """
    job, sites = workdir / "job", fields["sites"]
    rounds = fields["config"]["rounds"] * count_splits(fields["config"])
    config, start = name_start(fields["config"])
    config["baselines"] = name_runs(config["baselines"])
    experiment = read_experiment(ConfigDict({**config, "sites": {}}))
    own = {name: value for name, value in fields.items() if name != "study"}
    identity = {**own, "config": config, "data": {"shape": list(image_shape(experiment))}}
    with (
        claim(workdir, identity),
        recorded(workdir),
        progress.Steps("consortium", unit="round", total=rounds) as steps,
    ):
        keep_start(workdir, start)
        folder = write_job(
            job,
            config,
            fields["target"],
            sites,
            fewest=fewest,
            deadline_s=deadline_s,
            most_scans=most_scans,
            at_start=at_start,
            study=fields.get("study"),
            crossed=fields.get("crossed", False),
            start=workdir / "initial" if kit is None and start else None,
            lead_elsewhere=kit is None,
        )
        if kit is not None:
            link_workdir(kit.absolute() / folder, workdir)

        def report(sentence: str) -> None:
            progress.say(sentence)
            record_event(workdir / "events.jsonl", sentence)

        def show(status: Mapping[str, Any]) -> None:
            steps.reach(int(status.get("round", 0)), describe_status(status))

        session = open_session()
        engine = session if kit is not None else LeadElsewhere(session, workdir)
        try:
            supervise(engine, Run(job, workdir, sites, fewest), report, show=show)
        finally:
            session.close()
    print((workdir / "report.txt").read_text(encoding="utf-8"), end="")
    print(f"Results, losses and the model: {workdir}")
