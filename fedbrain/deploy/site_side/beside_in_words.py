"""What the questions beside the rounds ask of a site, for the person who approves them."""

from collections.abc import Iterable, Mapping
from typing import Any

from fedbrain.deploy.protocol.linear import read_linear


def beside_in_words(configs: Iterable[Mapping[str, Any]]) -> list[str]:
    """Lines of a page about one experiment or several; none where nothing is asked.

    Args:
      configs: of the jobs.
    """
    regressions = [r for config in configs for r in read_linear(config["baselines"])]
    if not regressions:
        return []
    names = sorted({name for regressors in regressions for name in regressors.names})
    return [
        f"  - sums of products of {', '.join(names)} and the target, over all its training people,",
        f"    for {len(regressions)} linear regressions, and a row of test results of each",
    ]
