"""Whether predictions follow change within people who were scanned several times.

    slope = sum_i sum_j (x_ij - x_i) (y_ij - y_i) / sum_i sum_j (x_ij - x_i)^2

x: the target of scan j of person i, y: the prediction; x_i, y_i: the person's means. What a person
differs by from others, and a constant error, fall out. 1: predictions change as the target does;
0: not at all. The interval is over people (t; errors of one person may be related).

References:
  Liang and Zeger (1986), https://doi.org/10.1093/biomet/73.1.13
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from fedbrain.analysis.age_gap import two_sided
from fedbrain.analysis.intervals import FEWEST_PEOPLE, UNDEFINED, Interval, span


class Change(NamedTuple):
    """Within people."""

    people: int  # with scans at different targets
    scans: int  # of them
    spread: float  # median over people of largest - smallest target, in its unit
    slope: float  # change of the prediction per unit of the target
    slope_95: Interval


def change_within(
    subjects: Sequence[str], target: Float[np.ndarray, " n"], prediction: Float[np.ndarray, " n"]
) -> Change | None:
    """The slope within people; None where nobody has scans at different targets.

    Args:
      subjects: of each scan.
      target: NaN where unknown.
      prediction: of each scan.

    >>> change_within(["a", "a", "b"], np.array([60.0, 62.0, 50.0]), np.array([70.0, 71.0, 0.0]))
    Change(people=1, scans=2, spread=2.0, slope=0.5, slope_95=(nan, nan))
    """
    known = np.isfinite(target)
    names = np.asarray(subjects)[known]
    x_all, y_all = (np.asarray(v, np.float64)[known] for v in (target, prediction))
    rows = [np.flatnonzero(names == name) for name in dict.fromkeys(names.tolist())]
    people = [k for k in rows if np.ptp(x_all[k]) > 0]
    if not people:
        return None
    x = [x_all[k] - x_all[k].mean() for k in people]
    y = [y_all[k] - y_all[k].mean() for k in people]
    total = sum(float(a @ a) for a in x)
    slope = sum(float(a @ b) for a, b in zip(x, y)) / total
    scores = [float(a @ (b - slope * a)) for a, b in zip(x, y)]
    n = len(people)
    interval = UNDEFINED
    if n >= FEWEST_PEOPLE:
        error = math.sqrt(sum(s * s for s in scores) * n / (n - 1)) / total
        interval = two_sided(slope, error, n - 1)
    spread = float(np.median([np.ptp(x_all[k]) for k in people]))
    return Change(n, sum(map(len, people)), spread, slope, interval)


def sentence(change: Change, unit: str) -> str:
    """The change in words.

    Args:
      change: within people.
      unit: of the target.
    """
    return (
        f"Change within {change.people} people with several scans ({change.scans} scans, over"
        f" {change.spread:.1f} {unit} in the median): the prediction changes by {change.slope:.2f}"
        f" per unit of the target (95 % {span(change.slope_95)}); 1: as the target, 0: not at all."
    )
