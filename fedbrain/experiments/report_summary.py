"""What a report says first: every model's error on test scans, with its interval and its floor."""

from collections.abc import Iterator, Mapping
from typing import Any

from fedbrain.analysis.cells import number
from fedbrain.analysis.columns import NUMBERS, columns_of
from fedbrain.analysis.html_page import Items, Section
from fedbrain.analysis.intervals import UNDEFINED, span
from fedbrain.analysis.results_table import comparison_lines
from fedbrain.experiments.site_tables import TITLES, named_rows


def summary_section(results: Mapping[str, Any]) -> Section:
    """A line for each model, and one for each comparison of a simulation.

    Args:
      results: what `results.json` holds.
    """
    lines = [*_of_models(results)]
    if "regimes" in results:
        lines += comparison_lines(results)
    if untold := results.get("untold"):
        lines.append(f"Without test results of {', '.join(untold)}: see Who is missing.")
    return Section("In short", [Items(lines)] if lines else [])


def _of_models(results: Mapping[str, Any]) -> Iterator[str]:
    columns = columns_of(results)

    def line(name: str, numbers: Mapping[str, Any], scans: str) -> str:
        if columns is not NUMBERS:
            return f"{name}, {scans}: {columns.sentence(numbers, results['unit'])}."
        error = f"MAE {numbers['mae']:.2f} {results['unit']} (95 % {span(numbers['mae_95'])})"
        told = span(numbers.get("r_95", UNDEFINED))
        r = "" if told == "n/a" else f", r {number(numbers['r'])} ({told})"
        floor = number(numbers["floor_mae"])
        return f"{name}, {scans}: {error}{r}; floor, the median predictor: {floor}."

    for name, regime in (results.get("regimes") or {}).items():
        n = regime["pooled"].get("n", "all")
        yield line(name, regime["pooled"], f"{n} test scans")
    if "regimes" in results:
        return
    for name, rows in named_rows(results).items():
        over_all = rows.get("macro", {})
        title = TITLES.get(name, name)
        sites = len(rows) - len({"pooled", "macro"} & set(rows))
        yield line(title, over_all, f"mean of {sites} site{'s' * (sites != 1)}")
