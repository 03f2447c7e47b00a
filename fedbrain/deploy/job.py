"""A job: one experiment for a consortium, as both sides read it. The server adds no data to it, a site its own.

{"config": {fields of configs/base.py, without sites and cache}, "target": "age", "sites": ["amber", "birch", "cedar"]}
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from fedbrain import build
from fedbrain.build import Experiment
from fedbrain.data.dataset import Scans, data_fingerprint, volumes_fingerprint
from fedbrain.data.pipeline import example_batch, pipeline_seed
from fedbrain.data.splits import split_scans
from fedbrain.deploy.exchange import Terms, make_terms
from fedbrain.deploy.policy import Policy, config_hash, consent, require_subjects
from fedbrain.deploy.register import Site
from fedbrain.deploy.wire import Refused
from fedbrain.deploy.worker import Worker
from fedbrain.experiment import load_clients
from fedbrain.federation import random_variables
from fedbrain.io.run import write_json
from fedbrain.types import Variables

KEYS = {"config", "target", "sites"}


class Joined(NamedTuple):
    """A site in a job."""

    worker: Worker
    declared: Site


class Agreement(NamedTuple):
    """What follows from a job alone, the same at the server and at every site."""

    experiment: Experiment
    terms: Terms
    fresh: Variables
    seed: int


def _require(job: Mapping[str, Any]) -> None:
    if set(job) != KEYS:
        raise Refused(f"job: expected the fields {', '.join(sorted(KEYS))}, got {', '.join(sorted(job))}")


def agree(job: Mapping[str, Any], own: Mapping[str, Any] | None = None) -> Agreement:
    """Reads a job.

    Args:
      job: see above.
      own: a site's `sites` and `cache`.

    Raises:
      Refused: when it is no job.
      ValueError: naming the field of the configuration that cannot be read.
    """
    _require(job)
    config = ConfigDict({**job["config"], **(own or {"sites": {}, "cache": ""})})
    try:
        experiment = build.read(config)
    except (AttributeError, KeyError, TypeError) as error:
        raise Refused(f"job: expected the fields of an experiment, got a configuration without one: {error}") from None
    if experiment.initial not in ("random()", "random") or len(experiment.repeats) > 1 or experiment.inner_splits > 1:
        raise Refused("job: expected initial='random()' and one split, which is all that a consortium can run yet")
    shape = (*experiment.recipe.shape, len(experiment.modalities))
    fresh = random_variables(experiment, shape)
    example = example_batch(shape, experiment.batch_size, experiment.inputs)
    terms = make_terms(experiment.algorithm, fresh, example, sites=len(job["sites"]), config=config_hash(config.to_dict()))
    return Agreement(experiment, terms, fresh, pipeline_seed(experiment.seed, experiment.repeats[0], 0))


def join(policy: Policy, job: Mapping[str, Any], *, workdir: Path, limit: int) -> Joined:
    """Opens a job at a site: checks it against the site's policy, reads the site's data, splits them.

    Raises:
      Refused: when the site does not want this job, or has too few people for it.
      ValueError: when its data cannot be read.
    """
    _require(job)
    if policy.name not in job["sites"]:
        raise Refused(f"sites: expected {policy.name} among {', '.join(job['sites'])}")
    spec = consent(policy, job["config"], job["target"])
    experiment, terms, fresh, seed = agree(job, {"sites": {policy.name: spec}, "cache": str(workdir / "volumes")})
    clients, [report] = load_clients(experiment)
    kept = {"seed": experiment.split_seed, "repeat": experiment.repeats[0], "stratify": experiment.stratify}
    split = experiment.target(split_scans(clients[policy.name], experiment.fractions, **kept))
    require_subjects(policy, len(set(split.train.subjects)))
    print(report)
    require_same_data(workdir, clients[policy.name])
    how = {"workdir": workdir, "seed": seed, "limit": limit, "fewest_tested": policy.minimum_test_subjects}
    worker = Worker(policy.name, experiment, terms, split, fresh, **how)
    return Joined(worker, Site(len(split.train), len(split.valid), len(split.test), report.synthetic))


def require_same_data(workdir: Path, scans: Scans) -> None:
    """Raises Refused when a site's data are not those with which it first joined: a round would not be what it says."""
    path, told = workdir / "data.json", {"fingerprint": data_fingerprint(scans), "scans": len(scans)}
    now = {**told, "volumes": volumes_fingerprint(scans)}
    if not path.is_file():
        return write_json(path, now)
    before = json.loads(path.read_text(encoding="utf-8"))
    if before != now:
        raise Refused(
            f"expected the {before['scans']} scans with which this site joined, got {now['scans']}, or other labels, or "
            "other voxels. Put them back, or begin another experiment."
        )


def folder_of(root: str | Path, job: Mapping[str, Any]) -> Path:
    """Of an experiment, in a kit: the same for every job that carries the same configuration."""
    folder = Path(root) / "fedbrain" / config_hash(job["config"])[:16]
    folder.mkdir(parents=True, exist_ok=True)
    return folder
