"""A job: one experiment for a consortium, as both sides read it. The server adds no data to it, a
site its own.

{"config": {fields of configs/base.py, without sites and cache}, "target": "age", "sites": ["amber",
"birch", "cedar"]}
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from fedbrain.data.dataset import Scans, data_fingerprint, volumes_fingerprint
from fedbrain.data.splits import split_scans
from fedbrain.deploy.protocol.job import agree, require_job
from fedbrain.deploy.protocol.register import Site
from fedbrain.deploy.protocol.wire import Refused
from fedbrain.deploy.site_side.policy import Policy, consent, require_subjects
from fedbrain.deploy.site_side.worker import Worker
from fedbrain.experiments.clients import load_clients
from fedbrain.experiments.workdir import write_json


class Joined(NamedTuple):
    """A site in a job."""

    worker: Worker
    declared: Site


def join(policy: Policy, job: Mapping[str, Any], *, workdir: Path, limit: int) -> Joined:
    """Opens a job at a site: checks it against the site's policy, reads the site's data, splits
    them.

    Raises:
      Refused: when the site does not want this job, or has too few people for it.
      ValueError: when its data cannot be read.
    """
    require_job(job)
    if policy.name not in job["sites"]:
        raise Refused(f"sites: expected {policy.name} among {', '.join(job['sites'])}")
    spec = consent(policy, job["config"], job["target"])
    experiment, terms, fresh, seed = agree(
        job, {"sites": {policy.name: spec}, "cache": str(workdir / "volumes")}
    )
    clients, [report] = load_clients(experiment)
    kept = {
        "seed": experiment.split_seed,
        "repeat": experiment.repeats[0],
        "stratify": experiment.stratify,
    }
    split = experiment.target(split_scans(clients[policy.name], experiment.fractions, **kept))
    require_subjects(policy, len(set(split.train.subjects)))
    print(report)
    require_same_data(workdir, clients[policy.name])
    how = {
        "workdir": workdir,
        "seed": seed,
        "limit": limit,
        "fewest_tested": policy.minimum_test_subjects,
    }
    worker = Worker(policy.name, experiment, terms, split, fresh, **how)
    return Joined(
        worker, Site(len(split.train), len(split.valid), len(split.test), report.synthetic)
    )


def require_same_data(workdir: Path, scans: Scans) -> None:
    """Raises Refused when a site's data are not those with which it first joined: a round would not
    be what it says.
    """
    path, told = (
        workdir / "data.json",
        {"fingerprint": data_fingerprint(scans), "scans": len(scans)},
    )
    now = {**told, "volumes": volumes_fingerprint(scans)}
    if not path.is_file():
        return write_json(path, now)
    before = json.loads(path.read_text(encoding="utf-8"))
    if before != now:
        raise Refused(
            f"expected the {before['scans']} scans with which this site joined, got {now['scans']},"
            " or other labels, or other voxels. Put them back, or begin another experiment."
        )
