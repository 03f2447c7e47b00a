"""What the questions beside the rounds ask of a site, for the person who approves them."""

from collections.abc import Iterable, Mapping
from typing import Any

from fedbrain.deploy.protocol.linear import read_linear

FIELDS = {  # that a site opens -> what is told
    "describe": "counts, in classes of 5 people or more, and sums of powers over all its people",
    "report_by": "errors on test people by classes of 5 or more, beside each row",
}


def beside_in_words(jobs: Iterable[Mapping[str, Any]]) -> list[str]:
    """Lines of a page about one experiment or several; none where nothing is asked.

    Args:
      jobs: or experiments of a study.
    """
    jobs = list(jobs)
    configs = [job["config"] for job in jobs]
    regressions = [r for config in configs for r in read_linear(config["baselines"])]
    names = sorted({name for regressors in regressions for name in regressors.names})
    lines = [
        f"  - sums of products of {', '.join(names)} and the target, over all its training people,",
        f"    for {len(regressions)} linear regressions, and a row of test results of each",
    ]
    lines = lines if regressions else []
    for field, words in FIELDS.items():
        calls = sorted({str(call) for config in configs for call in config[field]})
        lines += [f"  - {words}: {', '.join(calls)}"] if calls else []
    kept = {str(config["harmonise"]) for config in configs} - {"none()", "none"}
    if kept:
        lines += [
            "  - sums of every voxel over its training scans, alone, times a column, and squared:",
            f"    its mean image follows from them: {', '.join(sorted(kept))}",
        ]
    if count := sum("crossed" in job for job in jobs):
        lines += [
            f"  - {count} times the whole model that it trains alone, which the other sites test"
        ]
        lines += ["    on their people, as this site tests theirs: a row of test results of each"]
    return lines
