"""The numbers of `results.json`, from predictions.

Accuracy per client, pooled and averaged, of every regime, and paired differences of regimes on the
same test scans. Nothing here depends on time or machine, so the same seed gives the same file.
"""

from collections.abc import Mapping
from itertools import combinations, product
from typing import Any

import numpy as np

from fedbrain.analysis.age_gap import age_gap
from fedbrain.analysis.intervals import over_sites
from fedbrain.analysis.metrics import add, regression_sums
from fedbrain.analysis.statistics import (
    Predictions,
    accuracy,
    concatenate,
    person_means,
    pooled_accuracy,
    pooled_difference,
)
from fedbrain.analysis.stored_predictions import RegimePredictions


def macro(per_site: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Unweighted mean over the sites where a number is defined: every hospital counts the same. The
    interval of its MAE needs nothing but MAE, standard error and number of people of each.

    Args:
      per_site: site -> `accuracy`.
    """
    names = ("mae", "rmse", "r2", "r", "floor_mae")
    defined = {k: [s[k] for s in per_site.values() if np.isfinite(s[k])] for k in names}
    means = {k: float(np.mean(v)) if v else float("nan") for k, v in defined.items()}
    columns = zip(*((s["mae"], s["mae_se"], s["subjects"]) for s in per_site.values()))
    return means | {"mae_95": list(over_sites(*map(list, columns)))}


def regime_results(sites: Mapping[str, Mapping[str, Predictions]]) -> dict[str, Any]:
    """All numbers of one regime.

    Args:
      sites: site -> {"valid": predictions, "test": predictions}.
    """
    valid = {name: regression_sums(*person_means(parts["valid"])) for name, parts in sites.items()}
    per_site = {
        name: accuracy(parts["test"]) | {"age_gap": age_gap(parts["test"], valid[name])}
        for name, parts in sites.items()
    }
    pooled = concatenate([parts["test"] for parts in sites.values()])
    return {
        "clients": per_site,
        "pooled": pooled_accuracy([parts["test"] for parts in sites.values()])
        | {"age_gap": age_gap(pooled, add(*valid.values()))},
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


def together(repeats: list[RegimePredictions]) -> dict[str, dict[str, dict[str, Predictions]]]:
    """The predictions of all repeats as one."""
    return {
        name: {
            site: {part: concatenate([r[name][site][part] for r in repeats]) for part in parts}
            for site, parts in sites.items()
        }
        for name, sites in repeats[0].items()
    }


def summarise(
    predictions: list[RegimePredictions],
    baselines: list[RegimePredictions],
    crossed: list[RegimePredictions],
) -> dict[str, Any]:
    """Results over all repeats.

    Args:
      predictions: of every regime; one element per repeat, each with its own test subjects.
      baselines: likewise, of linear regressions.
      crossed: likewise, of single models on every site's test scans.

    Returns:
      `regimes`: regime -> accuracy on all repeats' test scans together, and `over_repeats`, mean
        and range of the pooled MAE.
      `baselines`: likewise.
      `crossed`: model -> site -> accuracy.
      `comparisons`: paired differences of regimes, and of regimes and baselines, on the pooled test
        scans.
    """
    of_regimes = together(predictions)
    of_baselines = together(baselines)

    def tests_of(sites: Mapping[str, Mapping[str, Predictions]]) -> list[Predictions]:
        return [parts["test"] for parts in sites.values()]

    def mae(p: Predictions) -> float:
        return float(np.abs(p.prediction - p.target).mean(dtype=np.float64))

    regimes = {}
    for regime, sites in of_regimes.items():
        maes = [mae(concatenate(tests_of(repeat[regime]))) for repeat in predictions]
        regimes[regime] = regime_results(sites) | {"over_repeats": spread(maes)}
    tests = {name: tests_of(sites) for name, sites in (of_regimes | of_baselines).items()}
    pairs = [*combinations(of_regimes, 2), *product(of_regimes, of_baselines)]
    return {
        "regimes": regimes,
        "baselines": {name: regime_results(sites) for name, sites in of_baselines.items()},
        "crossed": {
            model: {site: accuracy(parts["test"]) for site, parts in sites.items()}
            for model, sites in together(crossed).items()
        },
        "comparisons": {f"{a} - {b}": pooled_difference(tests[a], tests[b]) for a, b in pairs},
    }
