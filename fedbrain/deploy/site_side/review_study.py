"""What a whole study may ask of a site, in plain words, for the person who approves it once."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

from fedbrain.analysis.gaussian_privacy import epsilon_of
from fedbrain.deploy.protocol.job import Agreement, agree
from fedbrain.deploy.protocol.reveals import ALGORITHMS
from fedbrain.deploy.protocol.runnable import ALONE, count_splits
from fedbrain.deploy.protocol.study import UNKNOWN, config_at, origin_of, study_hash
from fedbrain.deploy.protocol.wire import Refused
from fedbrain.deploy.site_side.accepted_starts import require_accepted
from fedbrain.deploy.site_side.agreed import require_agreed
from fedbrain.deploy.site_side.beside_in_words import beside_in_words
from fedbrain.deploy.site_side.policy import Policy, name_of
from fedbrain.deploy.site_side.private_people import require_demanded
from fedbrain.experiments.config import Experiment

PAGE = """Study {hash}
{state}

{count} experiments, one after the other. With this approval every one of them runs without being
asked about again; a job of this study that differs from it in any field is refused.

{experiments}

In all, this site would send at most
  - at joining: numbers of scans of each part, versions of programs, the end of its own record
  - {models} sums of validation losses, each over all its validation people (at least {valid})
  - {updates} updates, each from all its training people (at least {train})
  - {rows} rows of test results{sums}, over at least {test} people; with fewer, none
{beside}It sends no image, no label, no prediction and no name (docs/what_leaves.md).

{algorithms}

site.toml: allows it. People are counted when an experiment runs.

Every field that all experiments share:
{shared}
"""


def lines_of(config: Mapping[str, Any], name: str = "") -> list[str]:
    """Fields and values, a line each.

    Args:
      config: nested fields.
      name: of the field that they are in; empty at the top.
    """
    lines = []
    for key, value in sorted(config.items()):
        field = f"{name}.{key}" if name else key
        nested = isinstance(value, Mapping)
        lines += lines_of(value, field) if nested else [f"  {field} = {value!r}"]
    return lines


def privacy_in_words(experiment: Experiment, policy: Policy) -> str:
    """What noise hides in one experiment.

    Args:
      experiment: of the job.
      policy: of the site.
    """
    privacy, delta = experiment.privacy, policy.demands.delta_dp
    if privacy is None:
        return "Differential privacy: none. No epsilon applies to what is sent."
    epsilon = epsilon_of(math.sqrt(experiment.rounds + 1) / privacy.noise_multiplier, delta)
    return (
        f"Differential privacy of people who train or validate: epsilon {epsilon:.3g} for delta"
        f" {delta:g}, where each has one scan. Test results have no noise."
    )


def sums_in_words(policy: Policy) -> str:
    """What is told beside a row of test results.

    Args:
      policy: of the site.
    """
    return " with sums over test and validation people" if policy.pooled_sums else ""


def questions_of(config: Mapping[str, Any]) -> tuple[int, int]:
    """(models to validate, updates) of an experiment, at most.

    Args:
      config: of a job.
    """
    splits, rounds = count_splits(config), config["rounds"]
    return splits * (rounds + 1), splits * rounds


def require_acceptable(
    policy: Policy, agreement: Agreement, runs: Path | None, *, of_study: bool
) -> None:
    """Raises Refused for what the site would refuse when the job comes: a first model, or a job
    without the privacy that it demands.

    Args:
      policy: of the site.
      agreement: of the job.
      runs: folder of the site's runs; None: it has none.
      of_study: whether runs of the same study are accepted.
    """
    require_demanded(policy.demands, agreement.experiment.privacy)
    starts = policy.starts._replace(runs=policy.starts.runs or of_study)
    if runs is not None:
        require_accepted(starts, agreement.start, agreement.fresh, runs)


def describe_study(
    policy: Policy, job: Mapping[str, Any], *, approved: bool, runs: Path | None = None
) -> str:
    """A study in plain words, with what `site.toml` says of it.

    Args:
      policy: of the site.
      job: of the study.
      approved: whether a person has approved the study.
      runs: folder of the site's runs; None: it has none.
    """
    experiments, told = job["study"]["experiments"], []
    own = {place: e for place, e in experiments.items() if policy.name in e["sites"]}
    hash = study_hash(experiments)
    shared = set.intersection(*(set(lines_of(e["config"])) for e in own.values())) if own else set()
    for place, fields in own.items():
        try:
            told.append(_describe(policy, place, fields, experiments, shared, runs))
        except (Refused, ValueError) as error:
            return f"Study {hash}\nThis site refuses its experiment {place}: {error}\n"
    if not own:
        return f"Study {hash}\nThis site, {policy.name}, is in none of its experiments.\n"
    return PAGE.format(
        hash=hash,
        state="Approved."
        if approved
        else f"Not approved. To approve all of it: fedbrain site approve --kit=KIT --hash={hash}",
        count=len(own),
        experiments="\n".join(told),
        models=sum(questions_of(e["config"])[0] for e in own.values()),
        updates=sum(questions_of(e["config"])[1] for e in own.values()),
        rows=sum(1 + (ALONE in e["config"]["regimes"]) for e in own.values()),
        sums=sums_in_words(policy),
        beside="".join(f"{line}\n" for line in beside_in_words(own.values())),
        valid=policy.minimum_validation_subjects,
        train=policy.minimum_subjects,
        test=policy.minimum_test_subjects,
        algorithms="\n".join(_algorithms(own)),
        shared="\n".join(line for line in lines_of(_first(own)["config"]) if line in shared),
    )


def _describe(
    policy: Policy,
    place: str,
    fields: Mapping[str, Any],
    experiments: Mapping[str, Any],
    shared: set[str],
    runs: Path | None,
) -> str:
    """One experiment, in two lines and the fields of its own."""
    config = config_at(experiments, place, UNKNOWN)
    require_agreed(policy._replace(approval=False), {**fields, "config": config})
    agreed = agree({**fields, "config": config})
    of_own = origin_of(fields["config"]) is not None  # known when that experiment is over
    require_acceptable(policy, agreed, None if of_own else runs, of_study=True)
    numbers = sum(leaf.size for leaf in jax.tree.leaves(agreed.terms.answer))
    columns = ", ".join(config["covariates"]) or "none"
    alone = ALONE in config["regimes"]
    splits = count_splits(config)
    each = f" in each of {splits} splits" if splits > 1 else ""
    own = [f"  {line}" for line in lines_of(fields["config"]) if line not in shared]
    lines = [
        f"{place}: predicts {fields['target']} (column {policy.targets[fields['target']]!r}) from"
        f" {', '.join(config['modalities'])}; columns beside it: {columns}; sites:"
        f" {', '.join(fields['sites'])}",
        f"  starts from {_start_in_words(fields['config'], agreed.start)}; trains"
        f" {config['trainable']}; {config['rounds']} rounds at most{each}, updates of {numbers}"
        f" numbers{'; this site also trains a model alone, and keeps it' if alone else ''}",
    ]
    return "\n".join([*lines, f"  {privacy_in_words(agreed.experiment, policy)}", *own])


def _start_in_words(config: Mapping[str, Any], start: Any) -> str:
    origin = origin_of(config)
    if origin is not None:
        head = "" if origin.head else ", its last layer at zero"
        return f"the best model of {origin.place} of this study, as this site saw it{head}"
    if start is None:
        return "random weights, which follow from the job"
    return f"a model of the centre, SHA-256 {start.sha256}, where [start] accepts it"


def _algorithms(own: Mapping[str, Any]) -> list[str]:
    calls = sorted({e["config"]["algorithm"] for e in own.values()})
    rows = [(call, ALGORITHMS[name_of(call)]) for call in calls]
    return [f"Algorithm {c}: sends beside the weights {r.sent}; {r.note}." for c, r in rows]


def _first(own: Mapping[str, Any]) -> Mapping[str, Any]:
    return next(iter(own.values()))
