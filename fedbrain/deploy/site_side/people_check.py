"""How many people of a site's tree a job could use: those with an image and a label."""

from pathlib import Path

from fedbrain.data.columns import read_tables, resolve
from fedbrain.data.labelled import labelled_scans, sexes_of
from fedbrain.data.scan_report import Report
from fedbrain.deploy.site_side.policy import Policy, read_policy


def people(kit: Path) -> str:
    """Images and tables are where `site.toml` says, as an experiment reads them: for every target
    enough people have an image and a label, and the columns of covariates are there.

    Args:
      kit: of the site, a folder.

    Raises:
      ValueError: saying what was expected and what there is.
    """
    policy = read_policy(kit / "local/site.toml")
    counts = {target: _count(policy, target, column) for target, column in policy.targets.items()}
    tables = read_tables(policy.root)
    for column in policy.columns.values():
        resolve(tables, column)
    return ", ".join(f"{count} people for {target}" for target, count in counts.items())


def _count(policy: Policy, target: str, column: str) -> int:
    labels, report = labelled_scans(
        policy.root,
        policy.name,
        label=column,
        pattern=policy.pattern,
        pipeline=policy.pipeline,
        sexes=sexes_of(policy.columns),
    )
    count = len({scan.subject for scan in labels})
    train, valid = policy.minimum_subjects, policy.minimum_validation_subjects
    if count < train + valid:
        raise ValueError(
            f"{policy.root}: expected at least {train + valid} people with an image and a label for"
            f" the target {target} ({train} to train on, {valid} to validate on), got {count}."
            f" {_reasons(report)}"
        )
    return count


def _reasons(report: Report) -> str:
    groups = {**report.left_out, **report.notes}
    shown = [f"{len(sentences)} x {reason}" for reason, sentences in groups.items()]
    return f"Images found: {report.found}. {', '.join(shown)}".rstrip(". ") + "."
