"""The server's side: python -m fedbrain.deploy.server [run | listen | withdraw | readmit] ...

listen    --kit=KIT                    the engine's process, to be kept running
(launch/hospital/fedbrain-server.service) run       --kit=KIT --lead=LEAD_KIT --workdir=DIR
--config=FILE.py --target=age --sites=a,b,c
          sees an experiment through: submits, watches, submits again after a loss; started again it
            goes on
withdraw  --lead=LEAD_KIT --sites=b    the server refuses a site from now on; readmit undoes it
"""

import datetime
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from absl import flags
from ml_collections import config_flags
from tqdm import tqdm

from fedbrain.cli import given, run_command
from fedbrain.deploy.server_side.submit import write_job
from fedbrain.deploy.server_side.supervise import Run, supervise
from fedbrain.experiments.workdir import claim


def link(folder: Path, workdir: Path) -> None:
    """Makes the run's folder in the kit a link to the work directory.

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


def describe(status: Mapping[str, Any]) -> str:
    """One line: what is going on, for whom the server waits, losses, when each site was last heard
    of.
    """
    parts = [str(status.get("doing", "waiting for the job to start"))]
    if status.get("waiting"):
        parts.append(f"waiting for {', '.join(status['waiting'])}")
    if "valid_loss" in status:
        parts.append(f"valid {status['valid_loss']:.3g}, best round {status['best_round']}")
    if status.get("contact_s"):
        parts.append(
            "heard of "
            + ", ".join(f"{n} {s:.0f} s ago" for n, s in sorted(status["contact_s"].items()))
        )
    return "; ".join(parts)


def record(path: Path, sentence: str) -> None:
    """Appends what happened, as a JSON line."""
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"time": now, "event": sentence}) + "\n")


def see_through(
    kit: Path, lead: Path, workdir: Path, fields: Mapping[str, Any], *, fewest: int, deadline_s: int
) -> None:
    """The story of `run`.

    Args:
      kit: of the server, on this machine.
      lead: kit of the consortium's lead.
      workdir: of the experiment.
      fields: `config`, `target` and `sites` of the job.
      fewest: sites without which no round counts.
      deadline_s: of an answer, at most.
    """
    from fedbrain.deploy.nvflare.session import Lead  # an extra

    job, sites, rounds = workdir / "job", fields["sites"], fields["config"]["rounds"]
    with claim(workdir, fields), tqdm(unit="round", desc="consortium", total=rounds) as bar:
        folder = write_job(
            job, fields["config"], fields["target"], sites, fewest=fewest, deadline_s=deadline_s
        )
        link(kit.absolute() / folder, workdir)

        def tell(sentence: str) -> None:
            bar.write(sentence)
            record(workdir / "events.jsonl", sentence)

        def show(status: Mapping[str, Any]) -> None:
            bar.n = int(status.get("round", 0))
            bar.set_postfix_str(describe(status))

        session = Lead(lead)
        try:
            supervise(session, Run(job, workdir, sites, fewest), tell, show=show)
        finally:
            session.close()
    print((workdir / "report.txt").read_text(encoding="utf-8"), end="")
    print(f"Results, losses and the model: {workdir}")


if __name__ == "__main__":
    CONFIG = config_flags.DEFINE_config_file("config", None, "The experiment.", lock_config=True)
    TARGET = flags.DEFINE_string("target", "age", "What is predicted, as the sites' files name it.")
    SITES = flags.DEFINE_list("sites", [], "Names of the sites, as in their certificates.")
    FEWEST = flags.DEFINE_integer(
        "fewest", 2, "Sites without which no round counts.", lower_bound=1
    )
    DEADLINE = flags.DEFINE_integer(
        "deadline_s", 3600, "The longest wait for an answer, in seconds.", lower_bound=1
    )
    KIT = flags.DEFINE_string("kit", None, "Kit of the server.")
    LEAD = flags.DEFINE_string("lead", None, "Kit of the consortium's lead.")
    WORKDIR = flags.DEFINE_string("workdir", None, "Of the experiment.")

    def _run() -> None:
        kit, lead, workdir = (Path(given(flag)) for flag in (KIT, LEAD, WORKDIR))
        fields = {"config": given(CONFIG).to_dict(), "target": TARGET.value, "sites": given(SITES)}
        see_through(kit, lead, workdir, fields, fewest=given(FEWEST), deadline_s=given(DEADLINE))

    def _listen() -> None:
        from fedbrain.deploy.nvflare.kits import start

        start(Path(given(KIT)))

    def _each(method: str) -> None:
        from fedbrain.deploy.nvflare.session import Lead

        session = Lead(Path(given(LEAD)))
        for site in given(SITES):
            getattr(session, method)(site)
            print(f"{site}: {'withdrawn' if method == 'withdraw' else 'admitted again'}.")
        session.close()

    COMMANDS = {
        "run": _run,
        "listen": _listen,
        "withdraw": lambda: _each("withdraw"),
        "readmit": lambda: _each("readmit"),
    }
    run_command(COMMANDS, default="run")
