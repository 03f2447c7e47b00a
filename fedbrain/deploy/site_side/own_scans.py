"""A site's own scans in a job: read, split, enough for what the site and the job ask, and those of
its first start.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from fedbrain.data.dataset import Scans, data_fingerprint, shape_of, volumes_fingerprint
from fedbrain.data.splits import Split
from fedbrain.deploy.protocol.job import Agreement
from fedbrain.deploy.protocol.linear import read_linear
from fedbrain.deploy.protocol.splits import split_ids
from fedbrain.deploy.protocol.wire import Refused
from fedbrain.deploy.site_side import voxels
from fedbrain.deploy.site_side.floors import (
    require_body,
    require_every_label,
    require_floors,
    require_shared_steps,
)
from fedbrain.deploy.site_side.going_home import write_identity
from fedbrain.deploy.site_side.linear_floors import require_tellable
from fedbrain.deploy.site_side.site_file import Policy
from fedbrain.deploy.site_side.told_people import people_told
from fedbrain.experiments.clients import load_clients
from fedbrain.experiments.small_batches import require_large_batches
from fedbrain.experiments.split_id import SplitId, split_client
from fedbrain.experiments.workdir import write_json


class OwnScans(NamedTuple):
    """See above."""

    scans: Scans
    splits: dict[SplitId, Split]
    synthetic: bool  # whether images of no real person are among them


def read_own_scans(
    policy: Policy,
    job: Mapping[str, Any],
    agreement: Agreement,
    workdir: Path,
    own: Mapping[str, Any],
) -> OwnScans:
    """Reads them, and records what they are.

    Args:
      policy: what this site agrees to.
      job: as the server sent it.
      agreement: of the job, with the site's own data.
      workdir: of this site and run.
      own: fields of the site's own in the configuration.

    Raises:
      Refused: for too few people in a part, a class or a sum; for other scans than at first; for
        FedRep whose body would not train.
      ValueError: when they cannot be read, or a batch of them is too small for the network.
    """
    experiment = agreement.experiment
    clients, [report] = load_clients(experiment)
    scans = clients[policy.name]
    splits = {i: split_client(experiment, scans, i) for i in split_ids(experiment)}
    fewest, regressions = policy.minimum_class_subjects, read_linear(experiment.baselines)
    how = {"batch_size": experiment.batch_size, "epochs": experiment.epochs}
    for split in splits.values():
        require_floors(policy, split, **how)
        require_body(job["config"]["algorithm"], split.train, **how)
        require_shared_steps(policy, job["config"], split)
        require_every_label(job["config"]["loss"], split)
        require_tellable(regressions, split.train, fewest=fewest, runs=workdir.parent)
        before = people_told(policy, workdir)
        voxels.require_tellable(experiment.harmonise, policy.name, split, before)
    sizes = {policy.name: [len(split.train) for split in splits.values()]}
    require_large_batches(experiment, sizes, shape_of([scans]), model=job["config"]["model"])
    print(report)
    require_same_data(workdir, scans)
    write_json(workdir / "clients" / policy.name / "data_report.json", report.as_dict())
    write_identity(workdir, {**job["config"], **own}, job["target"], experiment, clients)
    return OwnScans(scans, splits, report.synthetic)


def require_same_data(workdir: Path, scans: Scans) -> None:
    """Raises Refused when a site's data are not those with which it first joined: its updates would
    mix two data sets.

    Args:
      workdir: of this site and run.
      scans: that the site has now.
    """
    path = workdir / "data.json"
    now = {
        "fingerprint": data_fingerprint(scans),
        "scans": len(scans),
        "volumes": volumes_fingerprint(scans),
    }
    if not path.is_file():
        return write_json(path, now)
    before = json.loads(path.read_text(encoding="utf-8"))
    if before != now:
        raise Refused(
            f"expected the {before['scans']} scans with which this site joined, got {now['scans']},"
            " or other labels, or other voxels. Put them back, or begin another experiment."
        )
