"""What the sites hold, as a table and as numbers for the record: made from their sums."""

import math
from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np

from fedbrain.data.describe import FEWEST, Sums, anova, chi_squared, distances, moments

Described = Mapping[str, Mapping[str, Sums]]  # site -> column -> sums


def compare_sites(described: Described) -> dict[str, Any]:
    """Per column: moments of every site and of all, tests of whether sites differ, distances
    between them, histograms.
    """
    columns: dict[str, Any] = {}
    for column in next(iter(described.values())):
        parts = {site: of[column] for site, of in described.items()}
        test = anova(list(parts.values()))
        columns[column] = {
            "sites": {site: moments([part])._asdict() for site, part in parts.items()},
            "all": moments(list(parts.values()))._asdict(),
            "anova": test._asdict(),
            "chi_squared": (
                chi_squared(np.asarray([part.counts for part in parts.values()]))._asdict()
            ),
            "distances": {
                f"{a} - {b}": distances(parts[a], parts[b]) for a, b in combinations(parts, 2)
            },
            "histograms": {
                site: {"edges": p.edges, "counts": p.counts} for site, p in parts.items()
            },
            "suppressed_bins": sum(p.suppressed for p in parts.values()),
        }
    return columns


def render_data(columns: Mapping[str, Any]) -> str:
    """A block per column."""
    lines = []
    for column, told in columns.items():
        heads = (
            f"{'scans':>6s} {'people':>7s} {'missing':>8s} {'mean':>8s} {'SD':>7s} {'skew':>6s}"
            f" {'bins':>12s}"
        )
        lines.append(f"{column:16s} {heads}")
        for site, m in [*told["sites"].items(), ("all", told["all"])]:
            numbers = (
                f"{m['n']:6d} {m['people']:7d} {m['missing']:8d} {m['mean']:8.2f} {m['sd']:7.2f}"
                f" {m['skewness']:6.2f}"
            )
            numbers += f" {m['low']:g} to {m['high']:g}".rjust(13)
            lines.append(f"  {site:14s} {numbers}".replace("nan", "n/a"))
        test = told["anova"]
        if not math.isnan(test["p"]):
            f = f"F({test['degrees'][0]}, {test['degrees'][1]}) = {test['statistic']:.2f}"
            lines.append(f"  do means differ? {f}, p = {test['p']:.2g}")
        test = told["chi_squared"]
        if not math.isnan(test["p"]):
            text = (
                f"chi-squared({test['degrees'][0]}) = {test['statistic']:.2f}, p = {test['p']:.2g}"
            )
            lines.append(f"  do their bins differ? {text}")
        for pair, d in told["distances"].items():
            lines.append(
                f"  {pair}: earth mover's distance {d['earth_mover']:.2f}, Jensen-Shannon distance"
                f" {d['jensen_shannon']:.2f}"
            )
        if told["suppressed_bins"]:
            lines.append(
                f"  counts of 1 to {FEWEST - 1} are told as 0, and others beside them, in"
                f" {told['suppressed_bins']} bins"
            )
    return "\n".join(lines)
