"""What may be claimed of two methods that predicted the same scans, under several seeds."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from fedbrain.analysis.statistics import Predictions, concatenate, difference

SEEDS = 3  # with fewer, chance in training cannot be told from a difference
ALL = "all test scans"

# of each seed: site -> predictions
Seeds = Sequence[Mapping[str, Predictions]]


class Paired(NamedTuple):
    """MAE of the first method minus that of the second, in target units."""

    mean: float
    interval: tuple[float, float]  # bootstrap 95 % over subjects
    better: int  # seeds in which the first has the smaller MAE
    seeds: int

    @property
    def holds(self) -> bool:
        """Enough seeds, an interval without 0, and all seeds on the same side."""
        low, high = self.interval
        return self.seeds >= SEEDS and (
            (high < 0 and self.better == self.seeds) or (low > 0 and self.better == 0)
        )


def paired(first: Seeds, second: Seeds) -> dict[str, Paired]:
    """Site, and `ALL` for all sites together -> difference.

    Raises:
      ValueError: when the two do not predict the same scans.
    """
    sites = list(first[0])
    both = [
        (site, [seed[site] for seed in first], [seed[site] for seed in second]) for site in sites
    ]
    pooled = (
        [concatenate(list(seed.values())) for seed in first],
        [concatenate([s[n] for n in sites]) for s in second],
    )
    found = {}
    for name, a, b in [*both, (ALL, *pooled)]:
        each = [difference(x, y)["mae_difference"] for x, y in zip(a, b)]
        told = difference(concatenate(a), concatenate(b))
        low, high = told["mae_difference_95"]
        found[name] = Paired(
            told["mae_difference"], (low, high), sum(d < 0 for d in each), len(each)
        )
    return found


def sentence(first: str, second: str, d: Paired, unit: str) -> str:
    """A difference in words: what may be claimed, or why nothing may."""
    low, high = d.interval
    numbers = (
        f"{d.mean:+.2f} {unit} (95 % {low:+.2f} to {high:+.2f}; {d.better} of {d.seeds} seeds"
        " below 0)"
    )
    if d.holds:
        verdict = "has a smaller error than" if d.mean < 0 else "has a larger error than"
        return f"{first} {verdict} {second}: {numbers}."
    if d.seeds < SEEDS:
        why = f"{d.seeds} of {SEEDS} seeds are there"
    elif low <= 0 <= high:
        why = "the interval holds 0"
    else:
        why = "seeds disagree"
    return f"{first} and {second}: {why}: {numbers}."
