"""Claims about two methods that predicted the same scans, under several seeds."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from fedbrain.analysis.columns import NUMBERS, Columns, columns_of
from fedbrain.analysis.intervals import FEWEST_PEOPLE, span
from fedbrain.analysis.measures import measures_of
from fedbrain.analysis.predictions import Predictions, concatenate

SEEDS = 3  # with fewer, a difference may be chance of training
ALL = "all test scans"

Seeds = Sequence[Mapping[str, Predictions]]  # of each seed: site -> predictions


class Paired(NamedTuple):
    """Score of the first method minus that of the second: MAE in target units, or accuracy."""

    mean: float
    interval: tuple[float, float]  # 95 % over people
    better: int  # seeds in which the first is better
    seeds: int
    columns: Columns = NUMBERS  # how such a score is told

    @property
    def holds(self) -> bool:
        """Enough seeds, an interval without 0, and all seeds on the same side."""
        least, most = sorted(self.columns.sign * end for end in self.interval)
        good = least > 0 and self.better == self.seeds
        bad = most < 0 and self.better == 0
        return self.seeds >= SEEDS and (good or bad)

    def numbers(self) -> dict[str, Any]:
        """What `tables.json` holds."""
        return {k: v for k, v in self._asdict().items() if k != "columns"}


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
    some = first[0][sites[0]]
    measures = measures_of(some)
    columns = columns_of({"classes": some.classes})
    of_seeds = [
        [measures.score(concatenate([seed[s] for s in sites])) for seed in seeds]
        for seeds in (first, second)
    ]
    better = sum(columns.sign * (a - b) > 0 for a, b in zip(*of_seeds))
    together = measures.difference(
        *([concatenate([seed[s] for seed in seeds]) for s in sites] for seeds in (first, second))
    )
    low, high = together[f"{columns.score}_difference_95"]
    mean = together[f"{columns.score}_difference"]
    return Paired(mean, (low, high), better, len(first), columns)


def sentence(first: str, second: str, d: Paired, unit: str) -> str:
    """A difference in words: what may be claimed, or why nothing may.

    >>> sentence("A", "B", Paired(-0.9, (-1.5, -0.2), 3, 3), "years")
    'A has a smaller error than B: -0.90 years (95 % -1.50 to -0.20; 3 of 3 seeds below 0).'
    """
    low, high = d.interval
    interval = f"95 % {span(d.interval, '+.2f')}"
    good, bad = d.columns.claims
    side = "below" if d.columns.sign < 0 else "above"
    value = f"{d.mean:+z.2f}{d.columns.unit({'unit': unit})}"
    numbers = f"{value} ({interval}; {d.better} of {d.seeds} seeds {side} 0)"
    if d.holds:
        claim = good if d.columns.sign * d.mean > 0 else bad
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
