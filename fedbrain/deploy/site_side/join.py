"""A site joins a job: it checks the job against its policy, reads and splits its own scans, and
declares how many it has.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from fedbrain.data.small_counts import FEWEST
from fedbrain.data.splits import Split
from fedbrain.deploy.protocol.job import Agreement, agree, require_job
from fedbrain.deploy.protocol.pairwise import Identity
from fedbrain.deploy.protocol.register import Registration
from fedbrain.deploy.protocol.runnable import require_runnable
from fedbrain.deploy.protocol.splits import agreements_of
from fedbrain.deploy.site_side import voxels
from fedbrain.deploy.site_side.accepted_starts import require_accepted
from fedbrain.deploy.site_side.agreed import require_agreed
from fedbrain.deploy.site_side.approval import is_of_approved_study
from fedbrain.deploy.site_side.crossed import Crossed
from fedbrain.deploy.site_side.described import Described
from fedbrain.deploy.site_side.groups import groupings_of
from fedbrain.deploy.site_side.linear_floors import LinearFloors
from fedbrain.deploy.site_side.masked_worker import MaskedWorker
from fedbrain.deploy.site_side.masker import Masker, make_maskers
from fedbrain.deploy.site_side.own_scans import OwnScans, read_own_scans
from fedbrain.deploy.site_side.policy import Policy
from fedbrain.deploy.site_side.private_people import open_people, require_demanded
from fedbrain.deploy.site_side.resources import require_resources
from fedbrain.deploy.site_side.several_splits import SplitWorkers
from fedbrain.deploy.site_side.told_classes import ToldClasses
from fedbrain.deploy.site_side.told_people import people_told
from fedbrain.deploy.site_side.worker import Worker
from fedbrain.experiments.split_id import SplitId


class Joined(NamedTuple):
    """A site in a job."""

    worker: Worker | SplitWorkers | MaskedWorker  # answers the server's messages
    declared: Registration  # what the site sends when it joins


class _Wanted(NamedTuple):
    """A job that the site's settings accept, before its scans are read."""

    agreement: Agreement  # with the site's own data
    of_splits: list[Agreement]
    maskers: dict[str, Masker]  # of the splits; empty: nothing is masked
    own: dict[str, Any]  # the site's `sites` and `cache`


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
    wanted = _require_wanted(policy, job, workdir, volumes or workdir / "volumes", identity)
    own = read_own_scans(policy, job, wanted.agreement, workdir, wanted.own)
    workers = _open_splits(policy, wanted, own, workdir, limit, ledger or workdir / "privacy.json")
    fewest = max(FEWEST, policy.minimum_class_subjects)
    experiment = wanted.agreement.experiment
    groups = groupings_of(experiment.report_by, policy.name, own.scans, fewest)
    for worker in workers:
        worker.tester.groups = groups
    Crossed(workers[0], job["sites"])
    tables = ToldClasses(workdir.parent / "tables_told.json", fewest)
    of = {**policy.columns, "target": policy.targets[job["target"]]}
    Described(workers[0], own.scans, told=tables, run=workdir.name, of=of)
    worker = workers[0] if len(workers) == 1 else SplitWorkers(workers, limit=limit)
    hidden = MaskedWorker(worker, wanted.maskers, limit=limit) if wanted.maskers else worker
    return Joined(hidden, declare(own.splits, synthetic=own.synthetic))


def _require_wanted(
    policy: Policy,
    job: Mapping[str, Any],
    workdir: Path,
    volumes: Path,
    identity: Identity | None,
) -> _Wanted:
    """What the site's settings alone decide."""
    require_job(job)
    require_runnable(job["config"])
    spec = require_agreed(policy, job)
    starts = policy.starts
    if policy.approval and is_of_approved_study(policy.approved, job):
        starts = starts._replace(runs=True)  # from its own earlier experiments
    own = {"sites": {policy.name: spec}, "cache": str(volumes)}
    agreement = agree(job, own)
    require_demanded(policy.demands, agreement.experiment.privacy)
    require_accepted(starts, agreement.start, agreement.fresh, workdir.parent)
    of_splits = agreements_of(agreement)
    maskers = make_maskers(policy, job, of_splits, identity)
    require_resources(policy, agreement.experiment, agreement.fresh, workdir)
    return _Wanted(agreement, of_splits, maskers, own)


def _open_splits(
    policy: Policy, wanted: _Wanted, own: OwnScans, workdir: Path, limit: int, ledger: Path
) -> list[Worker]:
    """One worker for each split of the job."""
    kept, count = wanted.agreement.experiment.harmonise, len(wanted.of_splits)
    shifts = {i: voxels.Shift(folder_of_split(workdir, i, count)) for i in own.splits}
    splits = {i: voxels.seen(split, kept, shifts[i]) for i, split in own.splits.items()}
    how = {
        "limit": limit,
        "home": workdir,
        "splits": splits,
        "fewest_tested": policy.minimum_test_subjects,
        "digits": policy.validation_digits,
        "pooled_sums": policy.pooled_sums,
        "synthetic": own.synthetic,
    }
    workers = []
    for agreement in wanted.of_splits:
        folder = folder_of_split(workdir, agreement.split_id, count)
        split = splits[agreement.split_id]
        people = open_people(folder, agreement, split, ledger=ledger, demands=policy.demands)
        worker = Worker(policy.name, agreement, split, workdir=folder, people=people, **how)
        LinearFloors(worker, splits, home=workdir, runs=workdir.parent)
        if kept is not None:
            raw, shift = own.splits[agreement.split_id], shifts[agreement.split_id]
            voxels.Voxels(worker, raw, kept, shift, people_told(policy, workdir))
        workers.append(worker)
    return workers


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
