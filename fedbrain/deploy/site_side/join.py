"""A site joins a job: it checks the job against its policy, reads and splits its own scans, and
declares how many it has.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from fedbrain.data.dataset import Scans, data_fingerprint, shape_of, volumes_fingerprint
from fedbrain.data.small_counts import FEWEST
from fedbrain.data.splits import Split
from fedbrain.deploy.protocol.job import agree, require_job
from fedbrain.deploy.protocol.linear import read_linear
from fedbrain.deploy.protocol.pairwise import Identity
from fedbrain.deploy.protocol.register import Registration
from fedbrain.deploy.protocol.runnable import require_runnable
from fedbrain.deploy.protocol.splits import agreements_of
from fedbrain.deploy.protocol.wire import Refused
from fedbrain.deploy.site_side.accepted_starts import require_accepted
from fedbrain.deploy.site_side.agreed import require_agreed
from fedbrain.deploy.site_side.approval import is_of_approved_study
from fedbrain.deploy.site_side.crossed import Crossed
from fedbrain.deploy.site_side.described import Described
from fedbrain.deploy.site_side.floors import require_every_label, require_floors
from fedbrain.deploy.site_side.going_home import write_identity
from fedbrain.deploy.site_side.groups import groupings_of
from fedbrain.deploy.site_side.linear_floors import LinearFloors, require_tellable
from fedbrain.deploy.site_side.masked_worker import MaskedWorker
from fedbrain.deploy.site_side.masker import make_maskers
from fedbrain.deploy.site_side.policy import Policy
from fedbrain.deploy.site_side.private_people import open_people, require_demanded
from fedbrain.deploy.site_side.resources import require_resources
from fedbrain.deploy.site_side.several_splits import SplitWorkers
from fedbrain.deploy.site_side.worker import Worker
from fedbrain.experiments.clients import load_clients
from fedbrain.experiments.small_batches import require_large_batches
from fedbrain.experiments.split_id import SplitId, split_client
from fedbrain.experiments.workdir import write_json


class Joined(NamedTuple):
    """A site in a job."""

    worker: Worker | SplitWorkers | MaskedWorker  # answers the server's messages
    declared: Registration  # what the site sends when it joins


def join(
    policy: Policy,
    job: Mapping[str, Any],
    *,
    workdir: Path,
    limit: int,
    volumes: Path | None = None,
    ledger: Path | None = None,
    identity: Identity | None = None,
) -> Joined:
    """Opens a job at a site.

    Args:
      policy: what this site agrees to.
      job: as the server sent it.
      workdir: of this site and run; created by the caller.
      limit: the most bytes of a message.
      ledger: file that says what was told of people, of all runs of a site; None: in `workdir`.
      identity: of the site, for secure aggregation; None: it has none, and takes no part in any.
      volumes: folder of prepared volumes, which the runs of a site share; None: in `workdir`.

    Raises:
      Refused: when the site does not want this job, or has too few people for it.
      ValueError: when its data cannot be read, or a batch of it is too small for the network.
    """
    require_job(job)
    require_runnable(job["config"])
    spec = require_agreed(policy, job)
    starts = policy.starts
    if policy.approval and is_of_approved_study(policy.approved, job):
        starts = starts._replace(runs=True)  # from its own earlier experiments
    own = {"sites": {policy.name: spec}, "cache": str(volumes or workdir / "volumes")}
    agreement = agree(job, own)
    experiment, _, fresh, *_ = agreement
    require_demanded(policy.demands, experiment.privacy)
    require_accepted(starts, agreement.start, fresh, workdir.parent)
    agreed = agreements_of(agreement)
    maskers = make_maskers(policy, job, agreed, identity)
    require_resources(policy, experiment, fresh, workdir)
    clients, [report] = load_clients(experiment)
    scans = clients[policy.name]
    splits = {a.split_id: split_client(experiment, scans, a.split_id) for a in agreed}
    fewest, regressions = policy.minimum_class_subjects, read_linear(experiment.baselines)
    for split in splits.values():
        require_floors(policy, split, batch_size=experiment.batch_size, epochs=experiment.epochs)
        require_every_label(job["config"]["loss"], split)
        require_tellable(regressions, split.train, fewest=fewest, runs=workdir.parent)
    sizes = {policy.name: [len(split.train) for split in splits.values()]}
    require_large_batches(experiment, sizes, shape_of([scans]), model=job["config"]["model"])
    print(report)
    require_same_data(workdir, scans)
    write_identity(workdir, {**job["config"], **own}, job["target"], experiment, clients)
    how = {
        "limit": limit,
        "fewest_tested": policy.minimum_test_subjects,
        "digits": policy.validation_digits,
        "pooled_sums": policy.pooled_sums,
        "synthetic": report.synthetic,
    }
    groupings = groupings_of(experiment.report_by, policy.name, scans, max(FEWEST, fewest))
    known = {"ledger": ledger or workdir / "privacy.json", "demands": policy.demands}
    workers = []
    for of_split in agreed:
        folder = folder_of_split(workdir, of_split.split_id, len(agreed))
        split = splits[of_split.split_id]
        people = open_people(folder, of_split, split, **known)
        own = {"workdir": folder, "home": workdir, "splits": splits, "people": people}
        worker = Worker(policy.name, of_split, split, **own, **how)
        LinearFloors(worker, splits, home=workdir, runs=workdir.parent)
        worker.tester.groups = groupings
        workers.append(worker)
    Crossed(workers[0], job["sites"])
    Described(workers[0], scans, fewest=max(FEWEST, fewest))
    worker = workers[0] if len(workers) == 1 else SplitWorkers(workers, limit=limit)
    hidden = MaskedWorker(worker, maskers, limit=limit) if maskers else worker
    return Joined(hidden, declare(splits, synthetic=report.synthetic))


def folder_of_split(workdir: Path, split_id: SplitId, count: int) -> Path:
    """Where the questions and the private state of a split lie.

    Args:
      workdir: of this site and run.
      split_id: which split.
      count: how many splits the job has.
    """
    folder = workdir / "splits" / split_id.name if count > 1 else workdir
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def declare(splits: Mapping[SplitId, Split], *, synthetic: bool) -> Registration:
    """The numbers of scans that a site declares.

    Args:
      splits: of the job.
      synthetic: whether images of no real person are among the scans.
    """
    counts = {i.name: [len(s.train), len(s.valid), len(s.test)] for i, s in splits.items()}
    train, valid, test = next(iter(counts.values()))
    return Registration(train, valid, test, synthetic, counts if len(counts) > 1 else {})


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
