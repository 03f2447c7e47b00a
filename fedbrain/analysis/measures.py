"""What predictions are judged by: numbers by their errors, classes by how many are right."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from fedbrain.analysis import classification, regression, statistics
from fedbrain.analysis.predictions import Predictions

Sites = Mapping[str, Mapping[str, Predictions]]  # site -> "valid", "test" -> predictions


class Measures(NamedTuple):
    """Functions of predictions of one kind."""

    score: Callable[[Predictions], float]  # what repeats are compared by
    site: Callable[[Predictions], dict[str, Any]]  # all numbers of a site
    pooled: Callable[[Sequence[Predictions]], dict[str, Any]]  # over the scans of several sites
    # the score, its interval and its floor, averaged over sites with these weights
    weighted: Callable[[Sequence[Predictions], Sequence[float]], dict[str, Any]]
    regime: Callable[[Sites], dict[str, Any]]  # of clients, pooled and macro
    # paired, of two methods on the same scans of several sites
    difference: Callable[[Sequence[Predictions], Sequence[Predictions]], dict[str, Any]]
    of_groups: tuple[str, ...]  # the numbers that groups of people are told by


NUMBERS = Measures(
    score=regression.mean_error,
    site=statistics.accuracy,
    pooled=statistics.pooled_accuracy,
    weighted=regression.weighted_accuracy,
    regime=regression.regime_results,
    difference=statistics.pooled_difference,
    of_groups=("n", "subjects", "mae", "mae_se", "mae_95", "floor_mae"),
)
CLASSES = Measures(
    score=classification.share_right,
    site=classification.accuracy,
    pooled=classification.pooled_accuracy,
    weighted=classification.weighted_accuracy,
    regime=classification.regime_results,
    difference=classification.pooled_difference,
    of_groups=("n", "subjects", "accuracy", "accuracy_95", "auc", "auc_95", "floor_accuracy"),
)


def measures_of(p: Predictions) -> Measures:
    """Those that fit what was predicted."""
    return CLASSES if p.classes else NUMBERS


def macro(per_site: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Unweighted mean over sites, from their numbers alone.

    Args:
      per_site: site -> numbers, as `results.json` has them; one site at least.
    """
    is_class = all("accuracy" in numbers for numbers in per_site.values())
    return (classification if is_class else regression).macro(per_site)
