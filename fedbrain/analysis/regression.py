"""The numbers of a regime that predicts numbers: accuracy per client, pooled and averaged, and the
age gap.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fedbrain.analysis.age_gap import age_gap
from fedbrain.analysis.intervals import of_errors, over_people, over_sites
from fedbrain.analysis.metrics import add, regression_sums
from fedbrain.analysis.predictions import Predictions, concatenate
from fedbrain.analysis.statistics import accuracy, errors, person_means, pooled_accuracy


def mean_error(p: Predictions) -> float:
    """MAE, without an interval."""
    return float(np.abs(p.prediction - p.target).mean(dtype=np.float64))


def weighted_accuracy(sites: Sequence[Predictions], weights: Sequence[float]) -> dict[str, Any]:
    """The weighted mean of the sites' MAEs; people are drawn at each site independently.

    Args:
      sites: predictions of each.
      weights: of each; they add up to 1.
    """
    w = np.asarray(weights, np.float64)
    return {
        "mae": float(w @ [mean_error(p) for p in sites]),
        "mae_95": of_errors(over_people([errors(p) for p in sites], list(weights))),
        "floor_mae": float(w @ [np.abs(p.floor - p.target).mean() for p in sites]),
    }


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
    return means | {"mae_95": of_errors(over_sites(*map(list, columns)))}


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
