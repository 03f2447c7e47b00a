"""Writes a job for the engine: a folder of JSON files and nothing else."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from fedbrain.deploy.protocol.config_hash import OWN
from fedbrain.deploy.protocol.job import VERSION, folder_name, require_job
from fedbrain.deploy.protocol.register import MOST_SCANS
from fedbrain.deploy.protocol.runnable import require_runnable
from fedbrain.experiments.feasible import require_defined
from fedbrain.experiments.spec import choose
from fedbrain.experiments.workdir import clean, write_json
from fedbrain.training.sampling import SAMPLINGS

SERVERS_OWN = "app_of_server"  # folder of what the server alone gets
POLL_S = 0.5  # a site that waits asks so often whether there is something to do


def write_job(
    folder: Path,
    config: Mapping[str, Any],
    target: str,
    sites: list[str],
    *,
    fewest: int,
    deadline_s: int,
    most_scans: int = MOST_SCANS,
    at_start: int = 0,
    study: Mapping[str, Any] | None = None,
    crossed: bool = False,
    start: Path | None = None,
    lead_elsewhere: bool = False,
) -> str:
    """Writes the engine's files.

    Args:
      folder: of the job; created.
      config: fields of an experiment; those that are a site's own are left out.
      target: what is predicted, as sites name it.
      sites: names, as in their certificates.
      fewest: sites without which no round counts.
      deadline_s: of an answer at most, in seconds.
      most_scans: of a part that a site may declare.
      at_start: sites with which the run begins without the others; 0: all must be there.
      crossed: whether each site's own model is tested by the others.
      start: folder of the first model, for a server on another machine; None: the server has it.
      lead_elsewhere: whether results go to a lead on another machine.
      study: `place` and `experiments` of the study whose experiment this is; None: of no study.

    Returns:
      The run's folder in a kit.

    Raises:
      Refused: for what a consortium cannot run.
      ValueError: for a rule that is not defined for so many sites.
    """
    require_runnable(config)
    sampling = choose("server.sampling", config["server"]["sampling"], SAMPLINGS)
    require_defined(ConfigDict(config), sampling, sorted(sites))
    job = {
        "version": VERSION,
        "config": clean({k: v for k, v in config.items() if k not in OWN}),
        "target": target,
        "sites": sites,
        **({"crossed": True} if crossed else {}),
        **({} if study is None else {"study": clean(study)}),
    }
    require_job(job)
    path, version = "fedbrain.deploy.nvflare", {"format_version": 2}
    server = {"id": "conductor", "path": f"{path}.server.Conductor"}
    arguments = {"job": job, "fewest": fewest, "deadline_s": deadline_s}
    arguments |= {"most_scans": most_scans, "at_start": at_start, "lead_elsewhere": lead_elsewhere}
    executor = {
        "tasks": ["join", "message", "told"],
        "executor": {"path": f"{path}.site.Hospital", "args": {"job": job}},
    }
    deploy_map = {"app": ["@ALL"]} if start is None else {SERVERS_OWN: ["server"], "app": sites}
    meta = {
        "name": "fedbrain",
        "resource_spec": {},
        "min_clients": fewest,
        "deploy_map": deploy_map,
    }
    write_json(folder / "meta.json", meta)
    workflow = {
        "server": {"task_request_interval": POLL_S},
        "workflows": [{**server, "args": arguments}],
    }
    write_json(folder / "app/config/config_fed_server.json", {**version, **workflow})
    write_json(folder / "app/config/config_fed_client.json", {**version, "executors": [executor]})
    if start is not None:  # sites get it in a question
        shutil.copytree(folder / "app", folder / SERVERS_OWN, dirs_exist_ok=True)
        shutil.copytree(start, folder / SERVERS_OWN / "initial", dirs_exist_ok=True)
    return f"fedbrain/{folder_name(job)}"
