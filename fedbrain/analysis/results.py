"""From predictions to `results.json`: per client, pooled and macro, per regime, and regimes against
each other.

`federated`, `centralised` and `local` are judged on the same test scans. Nothing here depends on
time or machine, so the same seed gives the same file.
"""

from collections.abc import Mapping
from itertools import combinations, product
from typing import Any

import numpy as np

from fedbrain.analysis.age_gap import age_gap
from fedbrain.analysis.metrics import add, regression_sums
from fedbrain.analysis.statistics import Predictions, accuracy, concatenate, difference
from fedbrain.analysis.stored_predictions import RegimePredictions


def macro(per_site: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """Unweighted mean over the sites where a number is defined: every hospital counts the same."""
    names = ("mae", "rmse", "r2", "r", "floor_mae")
    defined = {k: [s[k] for s in per_site.values() if np.isfinite(s[k])] for k in names}
    return {k: float(np.mean(values)) if values else float("nan") for k, values in defined.items()}


def regime_results(sites: Mapping[str, Mapping[str, Predictions]]) -> dict[str, Any]:
    """All numbers of one regime."""
    valid = {
        name: regression_sums(parts["valid"].target, parts["valid"].prediction)
        for name, parts in sites.items()
    }
    per_site = {
        name: accuracy(parts["test"]) | {"age_gap": age_gap(parts["test"], valid[name])}
        for name, parts in sites.items()
    }
    pooled = concatenate([parts["test"] for parts in sites.values()])
    return {
        "clients": per_site,
        "pooled": accuracy(pooled) | {"age_gap": age_gap(pooled, add(*valid.values()))},
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


def together(judged: list[RegimePredictions]) -> dict[str, dict[str, dict[str, Predictions]]]:
    """All repeats' predictions as one."""
    return {
        name: {
            site: {part: concatenate([r[name][site][part] for r in judged]) for part in parts}
            for site, parts in sites.items()
        }
        for name, sites in judged[0].items()
    }


def summarise(
    judged: list[RegimePredictions],
    baselines: list[RegimePredictions],
    crossed: list[RegimePredictions],
) -> dict[str, Any]:
    """Results over all repeats.

    Args:
      judged: of every regime; one element per repeat, each with its own test subjects.
      baselines: likewise, of linear regressions.
      crossed: likewise, of single models on every site's test scans.

    Returns:
      `regimes`: per regime the accuracy on all repeats' test scans together, and `over_repeats`,
        mean and range of the
      pooled MAE; `baselines`: likewise; `crossed`: model -> site -> accuracy; `comparisons`: paired
      differences of regimes, and of regimes and baselines, on the pooled test scans.
    """
    every, floors = together(judged), together(baselines)
    regimes = {}
    for regime, sites in every.items():
        per_repeat = [
            accuracy(concatenate([s["test"] for s in r[regime].values()]))["mae"] for r in judged
        ]
        regimes[regime] = regime_results(sites) | {"over_repeats": spread(per_repeat)}
    tests = {
        name: concatenate([s["test"] for s in sites.values()])
        for name, sites in (every | floors).items()
    }
    pairs = [*combinations(every, 2), *product(every, floors)]
    return {
        "regimes": regimes,
        "baselines": {name: regime_results(sites) for name, sites in floors.items()},
        "crossed": {
            model: {site: accuracy(parts["test"]) for site, parts in sites.items()}
            for model, sites in together(crossed).items()
        },
        "comparisons": {f"{a} - {b}": difference(tests[a], tests[b]) for a, b in pairs},
    }
