"""The table of a sweep: the test score of every method, and paired differences over people.

    d_i = |error_i(method)| - |error_i(reference)|,   mean over scans, interval over people
    p:  t test of mean(d) = 0 with the standard error over people, two-sided; then Holm's correction

Intervals are over people who are tested: the models are those that were trained.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Shaped
from matplotlib.figure import Figure
from scipy import stats

from fedbrain.analysis.cells import align, number, p_value
from fedbrain.analysis.columns import columns_of
from fedbrain.analysis.figures import colour, save, titled
from fedbrain.analysis.intervals import Interval, by_person, span, standard_error
from fedbrain.analysis.measures import measures_of
from fedbrain.analysis.method_differences import holm
from fedbrain.analysis.predictions import (
    Predictions,
    concatenate,
    likeliest,
    require_same_scans,
)

Sites = Mapping[str, Predictions]  # of all repeats
NOTE = (
    "95 %: over people; range: over splits; floor: the median of the people that a model was"
    " trained on, or of a client's own where it took part, and of classes the largest."
)


class Line(NamedTuple):
    """The test scores of one method: MAE in target units, or accuracy."""

    method: str
    n: int  # test scans
    score: float
    interval: Interval  # 95 % over people
    low: float  # smallest over repeats
    high: float  # largest over repeats
    sites: dict[str, float]  # of every client
    floor: float
    settings: str  # chosen on validation people, with the number of repeats


class Difference(NamedTuple):
    """A method minus a reference on the same people."""

    method: str
    reference: str
    mean: float
    interval: Interval  # 95 % over people
    p: float  # NaN where not defined
    holm: float  # corrected for all methods compared with this reference


def line_of(method: str, sites: Sites, repeats: Sequence[Sites], settings: str) -> Line:
    """The line of a method.

    Args:
      method: its name.
      sites: predictions of all repeats.
      repeats: the same, repeat by repeat.
      settings: in words.
    """
    parts = list(sites.values())
    measures = measures_of(parts[0])
    name = columns_of({"classes": parts[0].classes}).score
    pooled = measures.pooled(parts)
    scores = [measures.score(concatenate(list(one.values()))) for one in repeats]
    low, high = pooled[f"{name}_95"]
    return Line(
        method,
        int(pooled["n"]),
        float(pooled[name]),
        (low, high),
        min(scores),
        max(scores),
        {site: measures.score(p) for site, p in sites.items()},
        float(pooled[f"floor_{name}"]),
        settings,
    )


def _values(p: Predictions) -> Shaped[np.ndarray, " n"]:
    right = likeliest(p.prediction) == p.target if p.classes else None
    return np.abs(p.prediction - p.target) if right is None else right.astype(np.float64)


def p_of_no_difference(first: Sites, second: Sites) -> float:
    """p of a mean difference of 0 over people, by t; NaN for one person.

    Args:
      first: predictions.
      second: of the same scans.
    """
    a, b = (concatenate([sites[site] for site in first]) for sites in (first, second))
    require_same_scans(a, b)
    group = by_person(_values(a) - _values(b), a.subjects)
    mean, error = group.sums.sum() / group.scans.sum(), standard_error(group)
    if not math.isfinite(error + mean):
        return math.nan
    if error == 0:
        return 1.0 if mean == 0 else 0.0
    return float(2 * stats.t.sf(abs(mean) / error, len(group.sums) - 1))


def differences(methods: Mapping[str, Sites], against: Sequence[str]) -> list[Difference]:
    """Every method minus every reference, p corrected for each reference apart.

    Args:
      methods: name -> predictions.
      against: names of the references.
    """
    found = []
    for reference in against:
        others = [method for method in methods if method != reference]
        p = [p_of_no_difference(methods[method], methods[reference]) for method in others]
        for method, one, corrected in zip(others, p, holm(p)):
            first, second = (list(methods[k].values()) for k in (method, reference))
            name = columns_of({"classes": first[0].classes}).score
            d = measures_of(first[0]).difference(first, second)
            low, high = d[f"{name}_difference_95"]
            mean = d[f"{name}_difference"]
            found.append(Difference(method, reference, mean, (low, high), one, corrected))
    return found


def rows_of(lines: Sequence[Line], label: str) -> list[list[str]]:
    """The cells of the table; the first row is the header.

    Args:
      lines: of the table, best first.
      label: of the score.
    """
    sites = list(lines[0].sites)
    tuned = any(line.settings for line in lines)
    header = ["method", "n", label, "95 %", "range", *sites, "floor"]
    rows = [[*header, *(["settings chosen, splits x fields"] if tuned else [])]]
    for line in lines:
        rows.append(
            [
                line.method,
                str(line.n),
                number(line.score),
                span(line.interval),
                span((line.low, line.high)),
                *(number(line.sites[site]) for site in sites),
                number(line.floor),
                *([line.settings] if tuned else []),
            ]
        )
    return rows


def difference_rows(found: Sequence[Difference]) -> list[list[str]]:
    """The cells of the differences; the first row is the header.

    Args:
      found: of a sweep.
    """
    rows = [["method - reference", "difference", "95 %", "p", "p by Holm"]]
    for one in found:
        name, mean = f"{one.method} - {one.reference}", number(one.mean, "+.2f")
        p = p_value(one.p), p_value(one.holm)
        rows.append([name, mean, span(one.interval, "+.2f"), *p])
    return rows


def note(found: Sequence[Difference]) -> str:
    """What the p values are.

    Args:
      found: of a sweep.
    """
    most = max((sum(b.reference == a.reference for b in found) for a in found), default=0)
    return (
        "Differences are paired by people. p: t test, two-sided; by Holm: corrected for the"
        f" {most} methods compared with one reference. This is about other people for these models;"
        " the chance of training is in the range over splits."
    )


def render(lines: Sequence[Line], label: str) -> str:
    """The table as text.

    Args:
      lines: of the table.
      label: of the score.
    """
    rows = [row[: len(row) - 1] if any(x.settings for x in lines) else row
            for row in rows_of(lines, label)]  # fmt: skip
    chosen = [f"{x.method} chose: {x.settings}" for x in lines if x.settings]
    return "\n".join([*align(rows), NOTE, *chosen])


def render_differences(found: Sequence[Difference]) -> str:
    """The differences as text.

    Args:
      found: of a sweep.
    """
    return "\n".join([*align(difference_rows(found)), note(found)])


def draw(path: Path, lines: Sequence[Line], *, label: str, synthetic: bool) -> None:
    """Score and interval of every method, and its floor as a cross.

    Args:
      path: of the PNG file.
      lines: of the table.
      label: of the score.
      synthetic: adds "(synthetic)" to the title.
    """
    figure = Figure(figsize=(7, 0.35 * len(lines) + 1.6), layout="constrained")
    axis: Any = figure.subplots()
    shown = list(lines)[::-1]
    places = range(len(shown))
    scores = np.asarray([line.score for line in shown])
    ends = np.asarray([line.interval for line in shown])
    spread = np.abs(np.nan_to_num(ends - scores[:, None], nan=0.0)).T
    axis.errorbar(scores, places, xerr=spread, fmt="o", capsize=3, color=colour(0), label="test")
    floors = [line.floor for line in shown]
    axis.plot(floors, places, "x", color=colour(1), label="floor")
    axis.set_yticks(places, [line.method for line in shown])
    axis.set(xlabel=label, title=titled("score and 95 % over people", synthetic))
    axis.set_ylim(-0.6, len(shown) - 0.4)
    figure.legend(*axis.get_legend_handles_labels(), loc="outside right upper", fontsize="small")
    save(figure, path)
