"""A study: every experiment of a grid in one description, which a person at a site approves once.

{"first/seed0": {"config": {...}, "target": "age", "sites": ["amber", "birch"]},
 "deep/seed0": {"config": {..., "initial": "earlier('first/seed0', head=False)"}, ...}}

A job of a study holds this description and its own place in it, and is that experiment to the last
field. Where it starts from an earlier experiment of the study, it names that one's best model by
its SHA-256, which nobody knew before.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from fedbrain.deploy.protocol.config_hash import config_hash
from fedbrain.deploy.protocol.first_model import STARTS, Start, read_start
from fedbrain.deploy.protocol.job_fields import KEYS, require_fields
from fedbrain.deploy.protocol.wire import Refused
from fedbrain.experiments.spec import choose
from fedbrain.experiments.workdir import clean, differences

UNKNOWN = "0" * 64  # stands for the hash of a model that is not trained yet
MOST = 1000  # experiments of a study; arbitrary
PLACE = re.compile(r"\w[\w.-]{0,63}(/\w[\w.-]{0,63})?", re.ASCII)


class Origin(NamedTuple):
    """An earlier experiment of the study, from whose best model one starts."""

    place: str  # of that experiment
    head: bool  # whether its last layer is taken; otherwise it is zero


def earlier(place: str, head: bool = True) -> Origin:
    """The best model of another experiment of the study.

    Args:
      place: of that experiment.
      head: whether its last layer is taken; otherwise it is zero.
    """
    return Origin(place, head)


def origin_of(config: Mapping[str, Any]) -> Origin | None:
    """The experiment of the study that another one starts from; None for other starts.

    Args:
      config: of an experiment of a study.

    Raises:
      Refused: for what is no start.
    """
    try:
        start = choose("initial", str(config.get("initial", "")), {**STARTS, "earlier": earlier})
    except ValueError as error:
        raise Refused(str(error)) from None
    return start if isinstance(start, Origin) else None


def study_hash(experiments: Mapping[str, Any]) -> str:
    """SHA-256 of a study: what a person at a site approves.

    Args:
      experiments: place -> `config`, `target` and `sites`.
    """
    text = json.dumps(clean(experiments), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(b"study " + text.encode()).hexdigest()


def config_at(experiments: Mapping[str, Any], place: str, sha256: str) -> dict[str, Any]:
    """The configuration of the job at a place, whose start is named by its hash.

    Args:
      experiments: of the study.
      place: of the experiment.
      sha256: of the model of the experiment that it starts from.
    """
    config = experiments[place]["config"]
    origin = origin_of(config)
    if origin is None:
        return dict(config)
    run = config_hash(experiments[origin.place]["config"])
    return {**config, "initial": f"sent({sha256!r}, run={run!r}, head={origin.head})"}


def require_of_study(job: Mapping[str, Any]) -> None:
    """Raises Refused when a job of a study is not the experiment at its place; nothing for a job of
    no study.

    Args:
      job: as it was sent; its own fields are those of a job.
    """
    if "study" not in job:
        return
    study = job["study"]
    if not isinstance(study, Mapping) or set(study) != {"place", "experiments"}:
        raise Refused("study: expected a place and the experiments of a study, got something else")
    experiments, place = study["experiments"], study["place"]
    require_experiments(experiments)
    if not isinstance(place, str) or place not in experiments:
        raise Refused(f"study: expected the place of one of its experiments, got {place!r}"[:200])
    start = read_start(job["config"])
    sha256 = start.sha256 if isinstance(start, Start) else ""
    expected = {**experiments[place], "config": config_at(experiments, place, sha256)}
    own = {name: job[name] for name in (*KEYS, "crossed") if name in job}
    changed = differences(clean(expected), clean(own))
    if changed:
        raise Refused(
            f"study: expected the experiment {place} as the study describes it, got another:"
            f" {changed[0]}"[:400]
        )


def require_experiments(experiments: Any) -> None:
    """Raises Refused for what is no description of a study.

    Args:
      experiments: place -> `config`, `target` and `sites`.
    """
    if not isinstance(experiments, Mapping) or not 0 < len(experiments) <= MOST:
        raise Refused(f"study: expected 1 to {MOST} experiments, got something else")
    for place, fields in experiments.items():
        if not isinstance(place, str) or not PLACE.fullmatch(place):
            raise Refused(f"study: expected places like 'deep/seed0', got {place!r}"[:200])
        whole = isinstance(fields, Mapping) and set(fields) - {"crossed"} == KEYS
        if not whole or fields.get("crossed", True) is not True:
            raise Refused(f"study: {place}: expected a config, a target and sites, got others")
        try:
            require_fields(fields)
        except Refused as error:
            raise Refused(f"study: {place}: {error}") from None
    for place, fields in experiments.items():
        origin = origin_of(fields["config"])
        if origin is None:
            continue
        first = experiments.get(origin.place)
        if first is None or origin_of(first["config"]) is not None:
            raise Refused(
                f"study: {place}: expected a start from an experiment of the study that itself"
                f" starts from none of them, got {origin.place!r}"[:300]
            )
