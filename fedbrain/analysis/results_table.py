"""The table at the end of a run."""

import math
from collections.abc import Mapping
from typing import Any

from fedbrain.analysis.age_gap import FEWEST_TO_FIT
from fedbrain.analysis.intervals import UNDEFINED, span

HEADER = ("", "n", "MAE", "95 %", "RMSE", "R2", "r", "95 % of r", "p", "floor")
GAP_HEADER = (
    "age gap", "to fit", "slope", "95 %", "corrected slope", "95 %", "corrected MAE", "95 %",
)  # fmt: skip


def number(value: float | None, form: str = ".2f") -> str:
    """A number, or n/a where it is not defined.

    >>> number(7.126), number(math.nan)
    ('7.13', 'n/a')
    """
    return format(value, form) if math.isfinite(number_or_nan(value)) else "n/a"


def number_or_nan(value: float | None) -> float:
    """NaN for None, which stands for it in JSON."""
    return math.nan if value is None else value


def p_value(p: float | None) -> str:
    """Three digits, or <.001; nothing for None.

    >>> p_value(0.0312), p_value(1e-6), p_value(None)
    ('0.031', '<.001', '')
    """
    return "" if p is None else "<.001" if p < 0.001 else number(p, ".3f")


def _row(name: str, m: dict[str, Any]) -> list[str]:
    return [
        name,
        str(m.get("n", "")),
        number(m["mae"]),
        span(m.get("mae_95", UNDEFINED)),
        *(number(m[k]) for k in ("rmse", "r2", "r")),
        span(m["r_95"]) if "r_95" in m else "",
        p_value(m.get("p")),
        number(m["floor_mae"]),
    ]


def _gap_row(name: str, gap: Mapping[str, Any]) -> list[str]:
    """Of files written before intervals were there, too."""
    form = {"slope": "+.2f", "corrected_slope": "+.2f", "corrected_mae": ".2f"}
    cells = [
        cell
        for key, f in form.items()
        for cell in (number(gap[key], f), span(gap.get(f"{key}_95", UNDEFINED), f))
    ]
    return [name, str(gap.get("correction_people", "n/a")), *cells]


def gap_rows(regimes: Mapping[str, Any]) -> list[list[str]]:
    """A header, then the age gap of every regime, and its correction (Cole) where there are people
    to fit it.
    """
    rows: list[list[str]] = [list(GAP_HEADER)]
    for regime, r in regimes.items():
        rows.append([regime] + [""] * (len(GAP_HEADER) - 1))
        of_sites = {**r["clients"], "pooled": r["pooled"]}
        rows += [_gap_row(f"  {name}", m["age_gap"]) for name, m in of_sites.items()]
    return rows


NOT_CORRECTED = f"n/a: not corrected with fewer than {FEWEST_TO_FIT} validation people"


def _gaps(regimes: Mapping[str, Any]) -> list[str]:
    rows = gap_rows(regimes)
    lines = align(rows)
    if any("n/a" in cell for row in rows for cell in row):
        lines.append(f"  {NOT_CORRECTED}")
    return lines


def align(rows: list[list[str]]) -> list[str]:
    """Lines of text: the first column to the left, the others to the right.

    >>> align([["site", "MAE"], ["a", "7.1"]])
    ['site  MAE', 'a     7.1']
    """
    first, *others = [max(map(len, column)) for column in zip(*rows)]

    def line(row: list[str]) -> str:
        cells = [row[0].ljust(first), *(c.rjust(w) for c, w in zip(row[1:], others))]
        return "  ".join(cells).rstrip()

    return [line(row) for row in rows]


def accuracy_rows(named: Mapping[str, dict[str, Any]]) -> list[list[str]]:
    """A header, and a row for every name."""
    return [list(HEADER), *(_row(name, m) for name, m in named.items())]


def render_accuracy(name: str, m: dict[str, Any], unit: str) -> str:
    """One line: MAE with its interval, r and the MAE of the median predictor."""
    interval = f"(95 % {span(m['mae_95'])})"
    floor = f"median predictor {m['floor_mae']:.2f}"
    return f"{name}: MAE {m['mae']:.2f} {unit} {interval}, r {m['r']:.2f}; {floor}"


def crossed_rows(crossed: Mapping[str, Any]) -> list[list[str]]:
    """A header, then every model on every site's test scans; empty without such models."""
    if not crossed:
        return []
    sites = list(next(iter(crossed.values())))
    rows = [["MAE of the model", *(f"on {site}" for site in sites)]]
    for model, m in crossed.items():
        rows.append([f"  {model}", *(number(m[site]["mae"]) for site in sites)])
    return rows


def _comparison(name: str, c: dict[str, Any], unit: str) -> str:
    low, high = (number_or_nan(end) for end in c["mae_difference_95"])
    verdict = "better" if high < 0 else "worse" if low > 0 else "no clear difference"
    interval = f"95 % {span((low, high), '+.2f')}"
    return f"MAE {name}: {c['mae_difference']:+.2f} {unit} ({interval}): {verdict}"


def regime_rows(results: Mapping[str, Any]) -> list[list[str]]:
    """A header, then every regime and baseline: per client, pooled by test scans and macro."""
    rows: list[list[str]] = [list(HEADER)]
    for regime, r in [*results["regimes"].items(), *results["baselines"].items()]:
        rows.append([regime] + [""] * (len(HEADER) - 1))
        rows += [_row(f"  {client}", m) for client, m in r["clients"].items()]
        rows += [_row("  pooled", r["pooled"]), _row("  macro", r["macro"])]
    return rows


def comparison_lines(results: Mapping[str, Any]) -> list[str]:
    """Differences of regimes, and the range over repeats, a sentence each."""
    unit = results["unit"]
    lines = [_comparison(name, c, unit) for name, c in results["comparisons"].items()]
    for regime, r in results["regimes"].items():
        over = r["over_repeats"]
        if over["repeats"] > 1:
            span = f"range {over['min']:.2f}-{over['max']:.2f}"
            lines.append(f"{regime}: MAE over {over['repeats']} splits {over['mean']:.2f} ({span})")
    return lines


def render_table(results: dict[str, Any]) -> str:
    """The table as text: every regime per client, pooled by test scans and macro.

    Args:
      results: `fedbrain.analysis.results.summarise`, with `unit` and `synthetic`.
    """
    unit = results["unit"]
    warning = "SYNTHETIC data: says nothing about real brains. " if results["synthetic"] else ""
    legend = "95 %: over people; floor: the median predictor."
    lines = [f"{warning}Test sets, errors in {unit}; {legend}", *align(regime_rows(results))]
    crossed = crossed_rows(results["crossed"])
    lines += align(crossed) if crossed else []
    lines += [*_gaps(results["regimes"]), *comparison_lines(results)]
    return "\n".join(lines)
