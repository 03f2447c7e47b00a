"""What a job may ask of a site, in plain words, for the person who approves it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

from fedbrain.deploy.protocol.first_model import Start
from fedbrain.deploy.protocol.job import agree, job_hash
from fedbrain.deploy.protocol.reveals import ALGORITHMS
from fedbrain.deploy.protocol.runnable import ALONE, count_splits
from fedbrain.deploy.protocol.wire import Refused
from fedbrain.deploy.site_side.agreed import require_agreed
from fedbrain.deploy.site_side.approval import APPROVED, read_approved, waiting
from fedbrain.deploy.site_side.beside_in_words import beside_in_words
from fedbrain.deploy.site_side.policy import Policy, name_of, read_policy
from fedbrain.deploy.site_side.review_study import (
    describe_study,
    lines_of,
    privacy_in_words,
    questions_of,
    require_acceptable,
    sums_in_words,
)

PAGE = """Job {hash}
{state}

Asks to predict: {target}. Sites: {sites}.
Images: {modalities}. Columns beside the target: {columns}.
Starts from {start}.

In {splits} of {rounds} rounds at most, this site would send
  - at joining: numbers of scans of each part, versions of programs, the end of its own record
  - {models} sums of validation losses, each over all its validation people (at least {valid})
  - {updates} updates of {numbers} numbers, each from all its training people (at least {train}),
    {batch} scans a step, {epochs} passes
  - {tests}, over at least {test} people; with fewer, none
{beside}It sends no image, no label, no prediction and no name (docs/what_leaves.md).

{privacy}

Algorithm {algorithm}: sends beside the weights {sent}; {note}.

site.toml: {consent}

Every field of the job:
{fields}
"""


def review(kit: Path, folder: Path | None = None) -> str:
    """Jobs and studies in plain words.

    Args:
      kit: of the site.
      folder: of a job; None: all that came and wait.
    """
    policy = read_policy(kit / "local/site.toml")
    approved = read_approved(kit / APPROVED)
    jobs = waiting(kit, folder)
    pages = []
    for hash, job in jobs.items():
        if "study" in job:
            runs = kit / "fedbrain"
            pages.append(describe_study(policy, job, approved=hash in approved, runs=runs))
        if "study" not in job or folder is not None:
            runs = kit / "fedbrain"
            pages.append(describe_job(policy, job, approved=job_hash(job) in approved, runs=runs))
    return "\n".join(pages) or "No job waits."


def describe_job(
    policy: Policy, job: Mapping[str, Any], *, approved: bool, runs: Path | None = None
) -> str:
    """One job in plain words, with what `site.toml` says of it.

    Args:
      policy: of the site.
      job: as it came.
      approved: whether a person has approved it.
      runs: folder of the site's runs; None: it has none.
    """
    config = job["config"]
    try:
        require_agreed(policy._replace(approval=False), job)
        agreement = agree(job)
        require_acceptable(policy, agreement, runs, of_study="study" in job)
    except (Refused, ValueError) as error:
        return f"Job {job_hash(job)}\nThis site refuses it: {error}\n"
    name = name_of(config["algorithm"])
    hash = job_hash(job)
    return PAGE.format(
        hash=hash,
        state="Approved."
        if approved
        else f"Not approved. To approve: fedbrain site approve --kit=KIT --hash={hash}",
        target=f"{job['target']} (column {policy.targets[job['target']]!r})",
        sites=", ".join(job["sites"]),
        modalities=", ".join(config["modalities"]),
        columns=", ".join(config["covariates"]) or "none",
        start=_start_in_words(agreement.start),
        splits=f"{count_splits(config)} splits" if count_splits(config) > 1 else "a run",
        rounds=config["rounds"],
        models=questions_of(config)[0],
        updates=questions_of(config)[1],
        numbers=sum(leaf.size for leaf in jax.tree.leaves(agreement.terms.answer)),
        valid=policy.minimum_validation_subjects,
        train=policy.minimum_subjects,
        test=policy.minimum_test_subjects,
        tests=(
            "2 rows of test results, one of a model that this site trains alone and keeps"
            if ALONE in config["regimes"]
            else "1 row of test results"
        )
        + sums_in_words(policy),
        beside="".join(f"{line}\n" for line in beside_in_words([job])),
        batch=config["client"]["batch_size"],
        epochs=config["client"]["epochs"],
        privacy=privacy_in_words(agreement.experiment, policy),
        algorithm=config["algorithm"],
        sent=ALGORITHMS[name].sent,
        note=ALGORITHMS[name].note,
        consent="allows it. People are counted when it runs.",
        fields="\n".join(lines_of(config)),
    )


def _start_in_words(start: Start | None) -> str:
    if start is None:
        return "random weights, which follow from the job"
    origin = f"the best model of the run {start.run[:16]}" if start.run else "a model of the centre"
    head = "" if start.head else ", its last layer at zero"
    return f"{origin}{head}: SHA-256 {start.sha256}"
