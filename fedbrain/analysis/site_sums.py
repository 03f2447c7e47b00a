"""Pooled rows and age gaps from sums that a site may tell of enough people.

    test people        sum x, y, x^2, y^2, x y     x = target, y = prediction, a mean over scans
    test scans         sum x, x^2
    validation people  n, sum x, y, x^2, y^2, x y: the line that corrects the gap

What needs each person's error is not defined here: the pooled interval of the MAE, and the pooled
MAE after a correction.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from fedbrain.analysis.age_gap import FEWEST_TO_FIT, Line, age_gap, fit, two_sided
from fedbrain.analysis.intervals import UNDEFINED
from fedbrain.analysis.metrics import Sums, add, regression_metrics, regression_sums
from fedbrain.analysis.predictions import Predictions
from fedbrain.analysis.statistics import person_means

GROUPS: Mapping[str, tuple[str, ...]] = {
    "scans": ("x", "xx"),
    "people": ("x", "y", "xx", "yy", "xy"),
    "valid": ("n", "x", "y", "xx", "yy", "xy"),
}
GAP = ("slope", "corrected_slope", "corrected_mae")
SUMS = tuple(f"{group}_{name}" for group, names in GROUPS.items() for name in names)
GAPS = tuple(f"gap_{name}{end}" for name in GAP for end in ("", "_low", "_high"))
NAMES = (*SUMS, *GAPS)  # of the numbers that a site tells


def site_sums(test: Predictions, valid: Predictions) -> dict[str, float]:
    """What a site tells beside its accuracy; NaN where a number is not defined.

    Args:
      test: predictions of its test scans.
      valid: of its validation scans.
    """
    of_valid = regression_sums(*person_means(valid))
    groups = {
        "scans": regression_sums(test.target, test.prediction),
        "people": regression_sums(*person_means(test)),
        "valid": of_valid,
    }
    told = {f"{g}_{name}": groups[g][name] for g, names in GROUPS.items() for name in names}
    gap = age_gap(test, of_valid)
    for name in GAP:
        low, high = gap[f"{name}_95"]
        told |= {f"gap_{name}": gap[name], f"gap_{name}_low": low, f"gap_{name}_high": high}
    return told


def gap_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """The age gap of a site, as tables need it.

    Args:
      row: what the site told.
    """
    gap: dict[str, Any] = {"correction_people": int(row["valid_n"])}
    for name in GAP:
        gap[name] = row[f"gap_{name}"]
        gap[f"{name}_95"] = [row[f"gap_{name}_low"], row[f"gap_{name}_high"]]
    return gap


def pooled(rows: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The numbers over the test scans of all sites together, and their age gap.

    Args:
      rows: site -> its accuracy and `site_sums`.
    """
    sites = list(rows.values())
    n = sum(row["n"] for row in sites)
    errors = {"abs": sum(row["mae"] * row["n"] for row in sites)}
    errors["sq"] = sum(row["rmse"] ** 2 * row["n"] for row in sites)
    scans, people, valid = (_added(sites, group) for group in GROUPS)
    people["n"] = float(sum(row["subjects"] for row in sites))
    of_scans = regression_metrics({**people, **scans, **errors, "n": float(n)})
    of_people = regression_metrics({**people, "abs": 0.0, "sq": 0.0})
    return {
        "n": n,
        "subjects": int(people["n"]),
        "mae": of_scans["mae"],
        "mae_95": list(UNDEFINED),
        "rmse": of_scans["rmse"],
        "r2": of_scans["r2"],
        "r": of_people["r"] if people["n"] > 2 else math.nan,
        "floor_mae": sum(row["floor_mae"] * row["n"] for row in sites) / n,
        "age_gap": _pooled_gap(people, fit(valid)),
    }


def _added(sites: list[Mapping[str, Any]], group: str) -> Sums:
    return add(*({name: row[f"{group}_{name}"] for name in GROUPS[group]} for row in sites))


def _gap_line(people: Mapping[str, float], slope: float, intercept: float) -> Line:
    """Of the gap after Cole's correction, (y - intercept) / slope - x, on the target."""
    n, x, y, xx, yy, xy = (people[k] for k in ("n", "x", "y", "xx", "yy", "xy"))
    z = (y - n * intercept) / slope
    zz = (yy - 2 * intercept * y + n * intercept**2) / slope**2
    xz = (xy - intercept * x) / slope
    return fit({"n": n, "x": x, "y": z - x, "xx": xx, "yy": zz - 2 * xz + xx, "xy": xz - xx})


def _pooled_gap(people: Mapping[str, float], line: Line) -> dict[str, Any]:
    count = int(people["n"])
    raw = _gap_line(people, 1.0, 0.0)
    gap: dict[str, Any] = {
        "correction_people": line.people,
        "slope": raw.slope,
        "slope_95": list(two_sided(raw.slope, raw.slope_se, count - 2)),
    }
    undefined = {"corrected_slope": math.nan, "corrected_slope_95": list(UNDEFINED)}
    gap |= {**undefined, "corrected_mae": math.nan, "corrected_mae_95": list(UNDEFINED)}
    if line.people < FEWEST_TO_FIT or not abs(line.slope) > 0.05:
        return gap

    def at(slope_errors: int, height_errors: int) -> Line:
        slope = line.slope + slope_errors * line.slope_se
        height = line.slope * line.centre + line.intercept + height_errors * line.height_se
        return _gap_line(people, slope, height - slope * line.centre)

    value = at(0, 0)
    of_line = ((at(1, 0).slope - at(-1, 0).slope) / 2) ** 2
    of_line += ((at(0, 1).slope - at(0, -1).slope) / 2) ** 2
    error = float(np.sqrt(value.slope_se**2 + of_line))
    interval = two_sided(value.slope, error, min(count, line.people - 1) - 1)
    return gap | {"corrected_slope": value.slope, "corrected_slope_95": list(interval)}
