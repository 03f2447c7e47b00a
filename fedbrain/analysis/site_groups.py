"""Errors of groups of people as numbers that a site tells, and the rows over all sites that follow
from them: without intervals, which need each person's error.

A class is named by the column and the number of its first band.
"""

import math
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

from fedbrain.analysis.groups import ALL
from fedbrain.data.bands import Bands

UNTIL = "until"  # the number of the first band after the class
MOST = 10**6  # scans of a class; arbitrary
MEASURES = ("n", "subjects", "mae", "mae_se", "mae_low", "mae_high", "floor_mae")
Rows = list[dict[str, Any]]  # see `by_group`


def names_of(report_by: Mapping[str, Bands]) -> list[str]:
    """All names of numbers that a site may tell.

    Args:
      report_by: column -> bands.
    """
    return [
        f"{column} {low}: {name}"
        for column, bands in report_by.items()
        for low in range(len(bands.lows))
        for name in (UNTIL, *MEASURES)
    ]


def to_numbers(column: str, bands: Bands, rows: Rows) -> dict[str, float]:
    """The rows of a site as numbers with names.

    Args:
      column: by which they are told.
      bands: of the column.
      rows: see `by_group`.
    """
    told = {}
    for row in rows:
        low, high = bands.lows.index(row["low"]), bands.highs.index(row["high"]) + 1
        ends = dict(zip(("mae_low", "mae_high"), row["mae_95"]))
        numbers = {UNTIL: high, **{name: row.get(name) for name in MEASURES}, **ends}
        told |= {
            f"{column} {low}: {name}": float(value)
            for name, value in numbers.items()
            if math.isfinite(value)
        }
    return told


def read_numbers(column: str, bands: Bands, told: Mapping[str, float]) -> Rows:
    """The inverse of `to_numbers`.

    Args:
      column: by which they are told.
      bands: of the column.
      told: name -> number, also of other columns.

    Raises:
      ValueError: for classes that overlap, or counts that are none.
    """
    return [row for *_, row in _classes(column, bands, told)]


def _classes(
    column: str, bands: Bands, told: Mapping[str, float]
) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """(first band, first band after it, row) of every class."""
    end = 0
    for low in range(len(bands.lows)):
        numbers = {name: told.get(f"{column} {low}: {name}", math.nan) for name in MEASURES}
        high = told.get(f"{column} {low}: {UNTIL}")
        if high is None:
            continue
        whole = all(numbers[name] in range(1, MOST) for name in ("n", "subjects"))
        if low < end or high not in range(low + 1, len(bands.lows) + 1) or not whole:
            raise ValueError(f"{column}: expected classes with people, one after the other")
        end = int(high)
        limits = {"low": bands.lows[low], "high": bands.highs[end - 1]}
        counts = {name: int(numbers.pop(name)) for name in ("n", "subjects")}
        ends = [numbers.pop(name) for name in ("mae_low", "mae_high")]
        yield low, end, {**limits, **counts, **numbers, "mae_95": ends}


def together(
    column: str, bands: Bands, sites: Mapping[str, Mapping[str, float]]
) -> dict[str, Rows]:
    """Rows of every site, and over the classes that all sites have which tell of some.

    Args:
      column: by which they are told.
      bands: of the column.
      sites: site -> what it told.
    """
    classes = {site: list(_classes(column, bands, told)) for site, told in sites.items()}
    rows = {site: [row for *_, row in found] for site, found in classes.items()}
    edges = set(range(len(bands.lows) + 1))
    for found in classes.values():  # between classes nobody is, and every edge is known
        edges -= {inside for low, high, _ in found for inside in range(low + 1, high)}
    over_all = []
    for low, high in pairwise(sorted(edges)):
        parts = [r for found in classes.values() for a, b, r in found if low <= a and b <= high]
        if parts:
            limits = {"low": bands.lows[low], "high": bands.highs[high - 1]}
            over_all.append(limits | _added(parts))
    return rows | {ALL: over_all}


def _added(parts: Rows) -> dict[str, Any]:
    n = sum(row["n"] for row in parts)
    means = {k: sum(row[k] * row["n"] for row in parts) / n for k in ("mae", "floor_mae")}
    subjects = sum(row["subjects"] for row in parts)
    return {"n": n, "subjects": subjects, **means, "mae_se": math.nan, "mae_95": [math.nan] * 2}
