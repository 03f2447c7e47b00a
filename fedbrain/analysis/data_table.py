"""Tables that describe the data of all sites, made from the statistics that leave them."""

import math
from collections.abc import Mapping
from itertools import combinations
from typing import Any

from fedbrain.analysis.cells import number
from fedbrain.analysis.site_differences import (
    anova,
    chi_squared,
    common_counts,
    distances,
    moments,
)
from fedbrain.data.describe import Sums, classes
from fedbrain.data.small_counts import FEWEST
from fedbrain.data.tables import SEX_COLUMNS
from fedbrain.data.words import SEXES

Described = Mapping[str, Mapping[str, Sums]]  # site -> column -> sums
SEX_EDGES = classes("sex", 0, 1)[1]


def compare_sites(described: Described) -> dict[str, Any]:
    """Column -> moments, tests of whether sites differ, distances between sites, histograms."""
    columns: dict[str, Any] = {}
    for column in next(iter(described.values())):
        sums = {site: of_site[column] for site, of_site in described.items()}
        every = list(sums.values())
        pairs = combinations(sums, 2)
        columns[column] = {
            "sites": {site: moments([s])._asdict() for site, s in sums.items()},
            "all": moments(every)._asdict(),
            "anova": anova(every)._asdict(),
            "chi_squared": chi_squared(common_counts(every)[1])._asdict(),
            "distances": {f"{a} - {b}": distances(sums[a], sums[b]) for a, b in pairs},
            "histograms": {s: {"edges": p.edges, "counts": p.counts} for s, p in sums.items()},
            "merged_bins": {site: s.merged for site, s in sums.items()},
            "withheld": [site for site, s in sums.items() if s.withheld],
        }
    return columns


MOMENTS = ("", "scans", "people", "missing", "mean", "SD", "skew", "bins")


def _bins(column: str, m: Mapping[str, Any]) -> str:
    if _is_sex(column) and (m["low"], m["high"]) == (SEX_EDGES[0], SEX_EDGES[-1]):
        return ", ".join(SEXES)
    return f"{number(m['low'], 'g')} to {number(m['high'], 'g')}"


def _is_sex(column: str) -> bool:
    return column.lower() in SEX_COLUMNS


def moments_cells(name: str, column: str, m: Mapping[str, Any]) -> list[str]:
    """A row below MOMENTS."""
    bins = _bins(column, m)
    counts = [str(m[k]) for k in ("scans", "people", "missing")]
    return [name, *counts, *(number(m[k]) for k in ("mean", "sd", "skewness")), bins]


def _moments_row(name: str, column: str, m: Mapping[str, Any]) -> str:
    numbers = f"{m['mean']:8.2f} {m['sd']:7.2f} {m['skewness']:6.2f}"
    bins = _bins(column, m)
    row = f"  {name:14s} {m['scans']:6d} {m['people']:7d} {m['missing']:8d} {numbers} {bins:>12s}"
    return row.replace("nan", "n/a")


def _test_row(question: str, name: str, degrees: str, test: Mapping[str, Any]) -> list[str]:
    """A line, or nothing where the test is not defined."""
    if math.isnan(test["p"]):
        return []
    return [f"  {question} {name}({degrees}) = {test['statistic']:.2f}, p = {test['p']:.2g}"]


def _sex_lines(of_column: Mapping[str, Any]) -> list[str]:
    """People of each sex, where a site tells them apart."""
    lines = [
        f"  {site}: " + ", ".join(f"{n} {sex}" for n, sex in zip(told["counts"], SEXES))
        for site, told in of_column["histograms"].items()
        if tuple(told["edges"]) == SEX_EDGES
    ]
    return [*lines, f"  mean: the share of {SEXES[1]}"] if lines else []


def difference_lines(column: str, of_column: Mapping[str, Any]) -> list[str]:
    """Whether sites differ in a column: tests and distances, a line each; sexes in words."""
    lines = _sex_lines(of_column) if _is_sex(column) else []
    f_test, chi = of_column["anova"], of_column["chi_squared"]
    degrees = "{}, {}".format(*f_test["degrees"])
    lines += _test_row("do means differ?", "F", degrees, f_test)
    lines += _test_row("do their bins differ?", "chi-squared", str(chi["degrees"][0]), chi)
    for pair, d in of_column["distances"].items():
        lines.append(
            f"  {pair}: earth mover's distance {number(d['earth_mover'])},"
            f" Jensen-Shannon distance {number(d['jensen_shannon'])}"
        )
    lines += [
        f"  {site}: fewer than {FEWEST} people have a value, or fewer than the site asks for, so"
        " nothing is told of them"
        for site in of_column["withheld"]
    ]
    if any(of_column["merged_bins"].values()):
        lines.append(f"  every person counts once; classes of fewer than {FEWEST} are merged")
    return lines


def render_data(columns: Mapping[str, Any]) -> str:
    """A block of text per column, from `compare_sites`."""
    head = f"{'scans':>6s} {'people':>7s} {'missing':>8s} {'mean':>8s} {'SD':>7s} {'skew':>6s}"
    lines = []
    for column, of_column in columns.items():
        lines.append(f"{column:16s} {head} {'bins':>12s}")
        lines += [_moments_row(site, column, m) for site, m in of_column["sites"].items()]
        lines.append(_moments_row("all", column, of_column["all"]))
        lines += difference_lines(column, of_column)
    return "\n".join(lines)
