"""Floors of a job at a site, once its people are known: how many are in each part, how often a
round steps, how many different people a step has. Below them a number that is sent would be of few.
"""

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from fedbrain.algorithms import SHARING, VARIANTS
from fedbrain.data.dataset import Scans
from fedbrain.data.splits import Split
from fedbrain.deploy.protocol.wire import Refused
from fedbrain.deploy.site_side.policy import Policy, require_subjects
from fedbrain.experiments.consistent import require_trained_body
from fedbrain.experiments.spec import bind
from fedbrain.models.losses import LOSSES, class_names


class LocalRound(NamedTuple):
    """What a round of local training is at a site."""

    steps: int
    people_in_a_step: int  # different people in the smallest step, at least


def local_round(train: Scans, *, batch_size: int, epochs: int) -> LocalRound:
    """Counts the steps of a round, and the people of the smallest one.

    A step may hold several scans of one person, and where an epoch ends a scan twice.

    Args:
      train: scans of one site.
      batch_size: scans in a step.
      epochs: passes over the scans.
    """
    total = len(train) * epochs
    of_one = max(Counter(train.subjects).values(), default=1)
    whole = math.ceil(min(batch_size, total) / (of_one * (2 if epochs > 1 else 1)))
    last = math.ceil((total % batch_size or min(batch_size, total)) / of_one)
    return LocalRound(math.ceil(total / batch_size), min(whole, last))


def require_floors(policy: Policy, split: Split, *, batch_size: int, epochs: int) -> None:
    """Raises Refused when a part has too few people, or a round too few steps or people in one.

    Args:
      policy: of this site.
      split: of its scans.
      batch_size: of the job.
      epochs: of the job.
    """
    require_subjects(policy, len(set(split.train.subjects)))
    people, least = len(set(split.valid.subjects)), policy.minimum_validation_subjects
    if people < least:
        raise Refused(
            f"expected at least {least} validation subjects at {policy.name}, got {people}"
        )
    counted = local_round(split.train, batch_size=batch_size, epochs=epochs)
    for name, value in counted._asdict().items():
        words = {"steps": "local_steps"}.get(name, name)
        least = policy.at_least.get(words, 0)
        if value < least:
            raise Refused(
                f"{words}: expected at least {least:g} at {policy.name}, got {value}: take other"
                " client.epochs or another client.batch_size"
            )


def require_shared_steps(policy: Policy, config: Mapping[str, Any], split: Split) -> None:
    """Raises Refused for an algorithm that trains a part of the network that is sent in fewer steps
    than a round has at least: after one of them, what is sent is an exact gradient of few people.

    Args:
      policy: of this site.
      config: of the job.
      split: of the site's scans.
    """
    name, bound = bind(config["algorithm"], VARIANTS)
    if name != "fedrep":
        return
    client, sharing = config["client"], bind(config["server"]["sharing"], SHARING)[0]
    how = {"batch_size": client["batch_size"], "epochs": client["epochs"]}
    head = bound.arguments["head_steps"]
    steps = {"head": head, "body": local_round(split.train, **how).steps - head}
    kept = {"without_head": "head", "only_head": "body"}.get(sharing)
    least = policy.at_least.get("local_steps", 0)
    for part in steps.keys() - {kept}:
        if 0 != steps[part] < least:
            raise Refused(
                f"local_steps: expected at least {least:g} of the {part} at {policy.name}, which"
                f" is sent, got {steps[part]}: take another head_steps of fedrep, or other"
                " client.epochs"
            )


def require_body(algorithm: str, train: Scans, *, batch_size: int, epochs: int) -> None:
    """Raises Refused for an algorithm whose head would take all local steps of this site, which
    would send a change of 0 round after round.

    Args:
      algorithm: the call in `config.algorithm`.
      train: training scans of this site.
      batch_size: of the job.
      epochs: of the job.
    """
    steps = local_round(train, batch_size=batch_size, epochs=epochs).steps
    try:
        require_trained_body(algorithm, steps)
    except ValueError as error:
        raise Refused(str(error)) from None


def rounded(value: float, digits: int) -> float:
    """A number to so many significant digits; 0: all of them.

    >>> rounded(148.263, 3), rounded(148.263, 0)
    (148.0, 148.263)
    """
    return float(f"{value:.{digits}g}") if digits else value


def require_every_label(loss: Any, split: Split) -> None:
    """Raises Refused for a loss that passes over some people: what it says then is of the others.

    Args:
      loss: call of the configuration.
      split: of the site's scans.
    """
    name, bound = bind(loss, LOSSES)
    bound.apply_defaults()
    given = bound.arguments
    bounds = {
        "soft_bins": lambda: (given["low"], given["high"]),
        "cross_entropy": lambda: (0, len(class_names(given["classes"])) - 1),
    }.get(name)
    if bounds is None:
        return
    low, high = bounds()
    targets = np.concatenate([part.target for part in split])
    if not ((targets >= low) & (targets <= high)).all():
        raise Refused(
            f"config.loss: expected {name} to hold every label of this site, got one that does not"
        )
