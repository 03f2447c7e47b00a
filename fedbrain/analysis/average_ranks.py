"""Average ranks of methods over problems, and the difference that chance would seldom make.

    r_m = mean_b rank of m in block b, 1 = best, ties shared
    Friedman:  chi2 = 12 N / (k (k + 1)) (sum_m r_m^2 - k (k + 1)^2 / 4),  corrected for ties
    Nemenyi:   CD = q_{.05, k} sqrt(k (k + 1) / (6 N)),   q: studentised range / sqrt(2)

A block is a problem, or a problem under an attack; N blocks, k methods.

References:
  Demšar (2006), https://jmlr.org/papers/v7/demsar06a.html
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from scipy import stats

from fedbrain.analysis.cells import align, p_value
from fedbrain.analysis.figures import COLOURS, save, titled

LEVEL = 0.05


class Ranks(NamedTuple):
    """Methods over blocks, best first."""

    methods: list[str]
    average: list[float]
    blocks: int
    critical: float  # difference of two average ranks at level .05, by Nemenyi
    p: float  # that all methods are alike, by Friedman


def ranks_of(
    scores: Float[np.ndarray, "blocks methods"], methods: list[str], better: Sequence[int]
) -> Ranks:
    """Average ranks.

    Args:
      scores: of every method in every block; NaN, a run that diverged, ranks last.
      methods: their names.
      better: of every block 1 when large scores are good, else -1.

    Raises:
      ValueError: for fewer than 2 blocks or 3 methods.
    """
    n, k = scores.shape
    if n < 2 or k < 3:
        raise ValueError(
            "Expected 3 methods or more in 2 problems or more (two methods are compared by"
            f" config.against), got {k} in {n}."
        )
    worse = -np.asarray(better)[:, None] * scores
    each = stats.rankdata(np.nan_to_num(worse, nan=np.inf), axis=1)
    average = each.mean(0)
    order = np.argsort(average, kind="stable")
    q = float(stats.studentized_range.ppf(1 - LEVEL, k, np.inf)) / math.sqrt(2)
    return Ranks(
        [methods[m] for m in order],
        average[order].tolist(),
        n,
        q * math.sqrt(k * (k + 1) / (6 * n)),
        _friedman(each),
    )


def _friedman(ranks: Float[np.ndarray, "blocks methods"]) -> float:
    """p of the chi-squared form, with ties."""
    n, k = ranks.shape
    spread = ((ranks - (k + 1) / 2) ** 2).sum()
    if spread == 0:
        return 1.0  # all are tied in every block
    between = n * ((ranks.mean(0) - (k + 1) / 2) ** 2).sum()
    return float(stats.chi2.sf(n * (k - 1) * between / spread, k - 1))


def alike(ranks: Ranks) -> list[tuple[int, int]]:
    """(first, last) of every longest run of methods that are within the critical difference.

    Args:
      ranks: of all methods.

    >>> alike(Ranks(["a", "b", "c", "d"], [1.0, 1.5, 2.4, 4.0], 9, 1.0, 0.01))
    [(0, 1), (1, 2)]
    """
    runs = []
    for first, start in enumerate(ranks.average):
        last = max(k for k, r in enumerate(ranks.average) if r - start <= ranks.critical)
        if last > first and (not runs or last > runs[-1][1]):
            runs.append((first, last))
    return runs


def render(ranks: Ranks) -> str:
    """The ranks as text, with what they say.

    Args:
      ranks: of all methods.
    """
    rows = [["method", "average rank"]]
    rows += [[name, f"{r:.2f}"] for name, r in zip(ranks.methods, ranks.average)]
    widest = len(ranks.methods) - 1
    none = " No two methods can differ by so much." if ranks.critical > widest else ""
    sentence = (
        f"{ranks.blocks} problems. Friedman: p {p_value(ranks.p)}. Average ranks that differ by"
        f" less than {ranks.critical:.2f} (Nemenyi, level {LEVEL}) are not told apart.{none}"
    )
    return "\n".join([*align(rows), sentence])


def draw(path: Path, ranks: Ranks, *, synthetic: bool) -> None:
    """A critical-difference diagram: methods on the axis of average ranks, a bar over those that
    are not told apart.

    Args:
      path: of the figure.
      ranks: of all methods.
      synthetic: whether the data are synthetic.
    """
    k, runs = len(ranks.methods), alike(ranks)
    figure = Figure(figsize=(8, 1.6 + 0.22 * (k + len(runs))), layout="constrained")
    axis = figure.subplots()
    for place, (name, r) in enumerate(zip(ranks.methods, ranks.average)):
        depth = place - k  # the best is lowest, so that no line crosses a name
        axis.plot([r, r], [0, depth], color="grey", linewidth=0.7)
        axis.text(r, depth, f" {name} {r:.2f}", va="center", fontsize="small")
    for height, (first, last) in enumerate(runs):
        ends = [ranks.average[first] - 0.03, ranks.average[last] + 0.03]
        axis.plot(ends, [0.6 + 0.5 * height] * 2, color=COLOURS[0], linewidth=4)
    axis.set(xlim=(0.8, 1.25 * k), ylim=(-k - 1, 1 + 0.5 * len(runs)), yticks=[])
    axis.set_xlabel(f"average rank over {ranks.blocks} problems, 1 = best")
    text = f"bars join methods within the critical difference {ranks.critical:.2f}"
    axis.set_title(titled(text, synthetic), fontsize="medium")
    axis.spines[["left", "right", "top"]].set_visible(False)
    save(figure, path)
