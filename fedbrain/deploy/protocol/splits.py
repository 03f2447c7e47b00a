"""The splits of a job: repeats have other test people each, inner splits other validation people.
Each is a federation of its own, with its own questions.

A message names its split by the hash of the configuration: with several splits, each has its own.
"""

import hashlib

from fedbrain.deploy.protocol.job import Agreement
from fedbrain.experiments.config import Experiment
from fedbrain.experiments.split_id import SplitId


def split_ids(experiment: Experiment) -> list[SplitId]:
    """All splits of an experiment, in the order in which they are run.

    Args:
      experiment: of the job.
    """
    inner = range(experiment.inner_splits)
    return [SplitId(repeat, k) for repeat in experiment.repeats for k in inner]


def names_of(agreement: Agreement) -> list[str]:
    """The names of a job's splits, where it has several.

    Args:
      agreement: of the job.
    """
    ids = split_ids(agreement.experiment)
    return [split_id.name for split_id in ids] if len(ids) > 1 else []


def agreements_of(agreement: Agreement) -> list[Agreement]:
    """What both sides agree on for each split of a job.

    Args:
      agreement: of the job.
    """
    ids = split_ids(agreement.experiment)
    if len(ids) == 1:
        return [agreement]
    return [_of_split(agreement, split_id) for split_id in ids]


def _of_split(agreement: Agreement, split_id: SplitId) -> Agreement:
    text = f"{agreement.terms.config} {split_id.name}"
    terms = agreement.terms._replace(config=hashlib.sha256(text.encode()).hexdigest())
    seed = split_id.seed(agreement.experiment.seed)
    return agreement._replace(terms=terms, split_id=split_id, seed=seed)
