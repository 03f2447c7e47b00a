"""The numbers of `results.json`, from predictions.

Accuracy per client, pooled and averaged, of every regime, and paired differences of regimes on the
same test scans. Nothing here depends on time or machine, so the same seed gives the same file.
"""

from collections.abc import Mapping
from itertools import combinations, product
from typing import Any

import numpy as np

from fedbrain.analysis.measures import measures_of
from fedbrain.analysis.predictions import Predictions, concatenate
from fedbrain.analysis.stored_predictions import RegimePredictions


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
        and range of the pooled MAE, or accuracy of classes.
      `baselines`: likewise.
      `crossed`: model -> site -> accuracy.
      `comparisons`: paired differences of regimes, and of regimes and baselines, on the pooled test
        scans.
    """
    of_regimes = together(predictions)
    of_baselines = together(baselines)

    def tests_of(sites: Mapping[str, Mapping[str, Predictions]]) -> list[Predictions]:
        return [parts["test"] for parts in sites.values()]

    measures = measures_of(tests_of(next(iter(of_regimes.values())))[0])
    regimes = {}
    for regime, sites in of_regimes.items():
        scores = [measures.score(concatenate(tests_of(repeat[regime]))) for repeat in predictions]
        regimes[regime] = measures.regime(sites) | {"over_repeats": spread(scores)}
    tests = {name: tests_of(sites) for name, sites in (of_regimes | of_baselines).items()}
    pairs = [*combinations(of_regimes, 2), *product(of_regimes, of_baselines)]
    return {
        "regimes": regimes,
        "baselines": {name: measures.regime(sites) for name, sites in of_baselines.items()},
        "crossed": {
            model: {site: measures.site(parts["test"]) for site, parts in sites.items()}
            for model, sites in together(crossed).items()
        },
        "comparisons": {f"{a} - {b}": measures.difference(tests[a], tests[b]) for a, b in pairs},
    }
