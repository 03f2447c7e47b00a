"""From predictions to `results.json`: per client, pooled and macro, per regime, and regimes against each other.

`federated`, `centralised` and `local` are judged on the same test scans. Nothing here depends on time or machine, so the
same seed gives the same file.
"""

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np

from fedbrain.report.statistics import Predictions, accuracy, age_gap, concatenate, difference

# regime -> site -> part ("valid" or "test") -> predictions of all repeats
Judged = Mapping[str, Mapping[str, Mapping[str, Predictions]]]


def macro(per_site: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """Unweighted mean over the sites where a number is defined: every hospital counts the same."""
    names = ("mae", "rmse", "r2", "r", "floor_mae")
    defined = {k: [s[k] for s in per_site.values() if np.isfinite(s[k])] for k in names}
    return {k: float(np.mean(values)) if values else float("nan") for k, values in defined.items()}


def regime_results(sites: Mapping[str, Mapping[str, Predictions]]) -> dict[str, Any]:
    """All numbers of one regime."""
    per_site = {name: accuracy(parts["test"]) for name, parts in sites.items()}
    for name, parts in sites.items():
        per_site[name]["age_gap"] = age_gap(parts["test"], parts["valid"])
    pooled = {part: concatenate([parts[part] for parts in sites.values()]) for part in ("valid", "test")}
    return {
        "clients": per_site,
        "pooled": accuracy(pooled["test"]) | {"age_gap": age_gap(pooled["test"], pooled["valid"])},
        "macro": macro(per_site),
    }


def spread(values: list[float]) -> dict[str, Any]:
    """Mean and range over repeats."""
    return {
        "mean": float(np.mean(values)),
        "min": float(min(values)),
        "max": float(max(values)),
        "repeats": len(values),
    }


def summarise(judged: list[Judged]) -> dict[str, Any]:
    """Results over all repeats.

    Args:
      judged: one element per repeat, each with its own test subjects.

    Returns:
      `regimes`: per regime the accuracy on all repeats' test scans together, and `over_repeats`, mean and range of the
      pooled MAE; `comparisons`: paired differences of regimes on the pooled test scans.
    """
    together: dict[str, dict[str, dict[str, Predictions]]] = {
        regime: {
            site: {part: concatenate([r[regime][site][part] for r in judged]) for part in ("valid", "test")}
            for site in judged[0][regime]
        }
        for regime in judged[0]
    }
    regimes = {}
    for regime, sites in together.items():
        per_repeat = [accuracy(concatenate([s["test"] for s in r[regime].values()]))["mae"] for r in judged]
        regimes[regime] = regime_results(sites) | {"over_repeats": spread(per_repeat)}
    tests = {regime: concatenate([s["test"] for s in sites.values()]) for regime, sites in together.items()}
    comparisons = {f"{a} - {b}": difference(tests[a], tests[b]) for a, b in combinations(tests, 2)}
    return {"regimes": regimes, "comparisons": comparisons}
