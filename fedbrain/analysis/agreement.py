"""Agreement of predictions with targets: limits of agreement, and calibration.

The limits hold 95 % of the differences, predicted - true, where these are normal. The calibration
slope is that of the regression of the target on the prediction: 1 where a predicted difference of
one year is one year; below 1 where predictions are spread too far.

References:
  Bland and Altman (1986), https://doi.org/10.1016/S0140-6736(86)90837-8
  Van Calster et al. (2019), calibration, https://doi.org/10.1186/s12916-019-1466-7
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from scipy import stats

from fedbrain.analysis.age_gap import fit, two_sided
from fedbrain.analysis.cells import number
from fedbrain.analysis.figures import colour, titled
from fedbrain.analysis.intervals import Interval, by_person, over_people, span
from fedbrain.analysis.metrics import regression_sums
from fedbrain.analysis.predictions import Predictions, concatenate
from fedbrain.analysis.statistics import person_means

HEADER = (
    "", "n", "mean difference", "95 %", "lower limit", "95 %", "upper limit", "95 %",
    "calibration slope", "95 %",
)  # fmt: skip
WIDTH = float(stats.norm.ppf(0.975))


class Agreement(NamedTuple):
    """On test scans, in target units; intervals are 95 %."""

    scans: int
    mean: float  # of predicted - true
    mean_95: Interval  # over people
    lower: float  # limit of agreement
    lower_95: Interval
    upper: float
    upper_95: Interval
    slope: float  # of calibration, over people
    slope_95: Interval


def agreement(p: Predictions) -> Agreement:
    """Limits of agreement and calibration of one group.

    The standard error of a limit is that of Bland and Altman with the number of people, since the
    scans of a person are not independent.

    >>> target = np.array([30.0, 40.0, 50.0, 60.0])
    >>> p = Predictions(("a", "b", "c", "d"), target, target + [1, -1, 1, -1], target)
    >>> round(agreement(p).mean, 2), round(agreement(p).upper, 2)
    (0.0, 2.26)
    """
    gap = np.asarray(p.prediction, np.float64) - p.target
    people = len(set(p.subjects))
    deviation = float(gap.std(ddof=1)) if gap.size > 1 else math.nan
    mean, half = float(gap.mean()), WIDTH * deviation
    freedom = people - 1
    error = deviation * math.sqrt(1 / people + WIDTH**2 / (2 * freedom)) if freedom else math.nan
    target, prediction = person_means(p)
    line = fit(regression_sums(prediction, target))
    return Agreement(
        gap.size,
        mean,
        over_people([by_person(gap, p.subjects)]),
        mean - half,
        two_sided(mean - half, error, freedom),
        mean + half,
        two_sided(mean + half, error, freedom),
        line.slope,
        two_sided(line.slope, line.slope_se, line.people - 2),
    )


def agreement_rows(regimes: Mapping[str, Mapping[str, Predictions]]) -> list[list[str]]:
    """A header, then a row for every site of every regime, and for all test scans.

    Args:
      regimes: regime -> site -> predictions of numbers.
    """
    rows: list[list[str]] = [list(HEADER)]
    for regime, sites in regimes.items():
        rows.append([regime] + [""] * (len(HEADER) - 1))
        over_all = {"pooled": concatenate(list(sites.values()))} if len(sites) > 1 else {}
        for name, p in {**sites, **over_all}.items():
            a = agreement(p)
            pairs = [(a.mean, a.mean_95), (a.lower, a.lower_95), (a.upper, a.upper_95)]
            cells = [text for v, i in pairs for text in (number(v, "+.2f"), span(i, "+.2f"))]
            slope = [number(a.slope, ".2f"), span(a.slope_95)]
            rows.append([f"  {name}", str(a.scans), *cells, *slope])
    return rows


def agreement_figure(
    sites: Mapping[str, Predictions], *, title: str, unit: str, synthetic: bool
) -> Figure:
    """Difference against mean of prediction and target of each site, with the limits.

    Args:
      sites: site -> predictions.
      title: of the figure.
      unit: of the target.
      synthetic: adds "(synthetic)" to the title.
    """
    figure = Figure(figsize=(3.6 * len(sites), 3.6), layout="constrained")
    panels = figure.subplots(1, len(sites), sharex=True, sharey=True, squeeze=False)[0]
    for k, (axes, (name, p)) in enumerate(zip(panels, sites.items())):
        a = agreement(p)
        middle = (p.prediction + p.target) / 2
        axes.scatter(middle, p.prediction - p.target, s=14, color=colour(k), alpha=0.8)
        axes.axhline(a.mean, color="black", linewidth=1)
        for limit in (a.lower, a.upper):
            axes.axhline(limit, color="black", linewidth=1, linestyle="--")
        panel_title = f"{name}: {a.mean:+.1f} ({a.lower:+.1f} to {a.upper:+.1f})"
        axes.set(xlabel=f"mean of predicted and true ({unit})", title=panel_title)
    panels[0].set_ylabel(f"predicted - true ({unit})")
    figure.suptitle(titled(title, synthetic))
    return figure
