"""A job: one experiment for a consortium, as both sides read it. The server adds no data to it, a
site adds its own.

{"version": 2, "config": {fields of configs/base.py, without sites and cache}, "target": "age",
 "sites": ["amber", "birch", "cedar"]}

with "crossed": true where each site's own model is tested by the others (see `crossed`), and, in a
job of a study, "study": {"place": "deep/seed0", "experiments": {see `study`}}.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from fedbrain.data.pipeline import example_batch
from fedbrain.deploy.protocol.config_hash import config_hash
from fedbrain.deploy.protocol.crossed import require_crossed
from fedbrain.deploy.protocol.first_model import Start, read_start
from fedbrain.deploy.protocol.job_fields import KEYS, require_fields
from fedbrain.deploy.protocol.runnable import count_splits, require_runnable
from fedbrain.deploy.protocol.study import require_of_study
from fedbrain.deploy.protocol.terms import Terms, make_terms
from fedbrain.deploy.protocol.wire import Refused
from fedbrain.experiments.compiled import image_shape, random_variables
from fedbrain.experiments.config import Experiment, read_experiment
from fedbrain.experiments.harmonised_images import require_same_places
from fedbrain.experiments.split_id import SplitId
from fedbrain.experiments.workdir import clean
from fedbrain.types import Variables

VERSION = 2  # of jobs and messages; a job without one has this one


class Agreement(NamedTuple):
    """What follows from a job alone, the same at the server and at every site."""

    experiment: Experiment  # read from the job's configuration
    terms: Terms  # outlines of the messages
    fresh: Variables  # of the experiment's seed: the model before the first round
    split_id: SplitId  # which split of the scans
    seed: int  # of sampling, shuffling, augmentation and dropout
    start: Start | None = None  # the first model, where it is sent; None: `fresh`
    crossed: bool = False  # whether each site's own model is tested by the others


def require_job(job: Mapping[str, Any]) -> None:
    """Raises Refused when a job has other fields than those of a job, or one of another type, or a
    `version` that this program does not speak, or is not what its study says.

    Args:
      job: as it was sent.
    """
    if set(job) - {"version", "study", "crossed"} != KEYS:
        raise Refused(
            f"job: expected the fields {', '.join(sorted(KEYS))}, got"
            f" {', '.join(sorted(map(str, job)))}"
        )
    if job.get("version", VERSION) != VERSION or isinstance(job.get("version"), bool):
        raise Refused(f"job: expected version {VERSION}, got {job['version']!r}"[:200])
    require_fields(job)
    require_of_study(job)
    require_crossed(job, splits=count_splits(job["config"]) if "crossed" in job else 1)


def job_hash(job: Mapping[str, Any]) -> str:
    """SHA-256 of a whole job: what a person at a site approves.

    Args:
      job: as it was sent.
    """
    fields = clean({"version": VERSION, **job})
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def agree(job: Mapping[str, Any], own: Mapping[str, Any] | None = None) -> Agreement:
    """Reads a job.

    Args:
      job: see above.
      own: a site's `sites` and `cache`.

    Raises:
      Refused: when it is no job.
      ValueError: naming the field of the configuration that cannot be read.
    """
    require_job(job)
    require_runnable(job["config"])
    config = ConfigDict({**job["config"], **(own or {"sites": {}, "cache": ""})})
    try:
        experiment = read_experiment(config)
    except (AttributeError, KeyError, TypeError) as error:
        raise Refused(
            f"job: expected the fields of an experiment, got a configuration without one: {error}"
        ) from None
    if experiment.harmonise is not None:
        require_same_places(experiment)
    shape = image_shape(experiment)
    fresh = random_variables(experiment, shape)
    example = example_batch(shape, experiment.batch_size, experiment.inputs)
    terms = make_terms(
        experiment.algorithm,
        fresh,
        example,
        sites=len(job["sites"]),
        config=config_hash(config.to_dict()),
    )
    split_id = SplitId(experiment.repeats[0])
    seed = split_id.seed(experiment.seed)
    start, crossed = read_start(job["config"]), "crossed" in job
    return Agreement(experiment, terms, fresh, split_id, seed, start, crossed)


def folder_name(job: Mapping[str, Any]) -> str:
    """The name of an experiment's folder in a kit: the same for every job of the experiment.

    Args:
      job: a job.
    """
    return f"{job['target']}-{config_hash(job['config'])[:16]}"


def folder_of(root: str | Path, job: Mapping[str, Any]) -> Path:
    """The folder of an experiment in a kit, created when it is not there.

    Args:
      root: of the kit.
      job: a job.

    Raises:
      Refused: when it is no job.
    """
    require_job(job)
    folder = Path(root) / "fedbrain" / folder_name(job)
    folder.mkdir(parents=True, exist_ok=True)
    return folder
