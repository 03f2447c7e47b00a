"""Claims about two methods that predicted the same scans, under several seeds."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from fedbrain.analysis.intervals import FEWEST_PEOPLE, span
from fedbrain.analysis.predictions import Predictions, concatenate
from fedbrain.analysis.statistics import mean_difference, pooled_difference

SEEDS = 3  # with fewer, a difference may be chance of training
ALL = "all test scans"

Seeds = Sequence[Mapping[str, Predictions]]  # of each seed: site -> predictions


class Paired(NamedTuple):
    """MAE of the first method minus that of the second, in target units."""

    mean: float
    interval: tuple[float, float]  # 95 % over people
    better: int  # seeds in which the first has the smaller MAE
    seeds: int

    @property
    def holds(self) -> bool:
        """Enough seeds, an interval without 0, and all seeds on the same side."""
        low, high = self.interval
        smaller = high < 0 and self.better == self.seeds
        larger = low > 0 and self.better == 0
        return self.seeds >= SEEDS and (smaller or larger)


def paired(first: Seeds, second: Seeds) -> dict[str, Paired]:
    """Differences between two methods.

    Args:
      first: predictions of the first method.
      second: predictions of the second method, with the same seeds and sites.

    Returns:
      Site, and `ALL` for all sites together -> difference.

    Raises:
      ValueError: when the two do not predict the same scans.
    """
    sites = list(first[0])

    names = {site: [site] for site in sites} | {ALL: sites}
    return {name: _paired(first, second, of_name) for name, of_name in names.items()}


def _paired(first: Seeds, second: Seeds, sites: list[str]) -> Paired:
    """Over the scans of some sites."""
    each = [[mean_difference(a[s], b[s]) for s in sites] for a, b in zip(first, second)]
    weights = [[len(a[s].target) for s in sites] for a in first]
    per_seed = [np.average(d, weights=w) for d, w in zip(each, weights)]
    together = pooled_difference(
        *([concatenate([seed[s] for seed in seeds]) for s in sites] for seeds in (first, second))
    )
    low, high = together["mae_difference_95"]
    better = sum(bool(d < 0) for d in per_seed)
    return Paired(together["mae_difference"], (low, high), better, len(per_seed))


def sentence(first: str, second: str, d: Paired, unit: str) -> str:
    """A difference in words: what may be claimed, or why nothing may.

    >>> sentence("A", "B", Paired(-0.9, (-1.5, -0.2), 3, 3), "years")
    'A has a smaller error than B: -0.90 years (95 % -1.50 to -0.20; 3 of 3 seeds below 0).'
    """
    low, high = d.interval
    interval = f"95 % {span(d.interval, '+.2f')}"
    numbers = f"{d.mean:+.2f} {unit} ({interval}; {d.better} of {d.seeds} seeds below 0)"
    if d.holds:
        claim = "has a smaller error than" if d.mean < 0 else "has a larger error than"
        return f"{first} {claim} {second}: {numbers}."
    if d.seeds < SEEDS:
        reason = f"{d.seeds} of {SEEDS} seeds are there"
    elif not math.isfinite(high - low):
        reason = f"an interval needs {FEWEST_PEOPLE} people"
    elif low <= 0 <= high:
        reason = "the interval holds 0"
    else:
        reason = "seeds disagree"
    return f"{first} and {second}: {reason}: {numbers}."
