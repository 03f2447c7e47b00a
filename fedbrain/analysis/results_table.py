"""The table at the end of a run."""

from collections.abc import Mapping
from typing import Any

from fedbrain.analysis.age_gap import FEWEST_TO_FIT
from fedbrain.analysis.cells import align, number, number_or_nan
from fedbrain.analysis.columns import Columns, Measured, columns_of
from fedbrain.analysis.intervals import UNDEFINED, span

GAP_HEADER = (
    "age gap", "to fit", "slope", "95 %", "corrected slope", "95 %", "corrected MAE", "95 %",
)  # fmt: skip


def gap_row(name: str, gap: Mapping[str, Any]) -> list[str]:
    """A row below GAP_HEADER; also of files written before intervals were there."""
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
        rows += [gap_row(f"  {name}", m["age_gap"]) for name, m in of_sites.items()]
    return rows


NOT_CORRECTED = (
    f"n/a: not corrected with fewer than {FEWEST_TO_FIT} validation people, or by too flat a line"
)


def _gaps(regimes: Mapping[str, Any]) -> list[str]:
    rows = gap_rows(regimes)
    lines = align(rows)
    if any("n/a" in cell for row in rows for cell in row):
        lines.append(f"  {NOT_CORRECTED}")
    return lines


def accuracy_rows(named: Mapping[str, Measured], columns: Columns) -> list[list[str]]:
    """A header, and a row for every name."""
    return [list(columns.header), *([name, *columns.cells(m)] for name, m in named.items())]


def render_accuracy(name: str, m: Measured, columns: Columns, unit: str) -> str:
    """One line: the score with its interval, and its floor."""
    return f"{name}: {columns.sentence(m, unit)}"


def _crossed_cell(m: Measured, score: str) -> str:
    """The score, with its interval where it has one."""
    told = span(m.get(f"{score}_95") or UNDEFINED)
    return number(m[score]) + (f" ({told})" if told != "n/a" else "")


def crossed_rows(results: Mapping[str, Any]) -> list[list[str]]:
    """A header, then every model on every site's test scans; empty without such models."""
    crossed, columns = results["crossed"], columns_of(results)
    if not crossed:
        return []
    sites = list(next(iter(crossed.values())))
    rows = [[f"{columns.title} of the model", *(f"on {site}" for site in sites)]]
    for model, m in crossed.items():
        rows.append([f"  {model}", *(_crossed_cell(m[site], columns.score) for site in sites)])
    return rows


def confusion_rows(results: Mapping[str, Any]) -> list[list[str]]:
    """A header, then every regime's scans by true class, and by the class they are put into, over
    all sites; empty where numbers are predicted.
    """
    classes = results.get("classes")
    if not classes:
        return []
    said = [cell for name in classes for cell in (f"put into {name}", "95 %")]
    rows = [["true class, all sites", *said]]
    for regime, r in results["regimes"].items():
        rows.append([regime] + [""] * len(said))
        pooled = r["pooled"]
        for name, counts, ends in zip(classes, pooled["confusion"], pooled["confusion_95"]):
            cells = [(f"{count} of {sum(counts)}", span(e)) for count, e in zip(counts, ends)]
            rows.append([f"  {name}", *(cell for pair in cells for cell in pair)])
    return rows


def regime_rows(results: Mapping[str, Any]) -> list[list[str]]:
    """A header, then every regime and baseline: per client, pooled by test scans and macro."""
    columns = columns_of(results)
    rows: list[list[str]] = [list(columns.header)]
    for regime, r in [*results["regimes"].items(), *results["baselines"].items()]:
        rows.append([regime] + [""] * (len(columns.header) - 1))
        named = {**r["clients"], "pooled": r["pooled"], "macro": r["macro"]}
        rows += [[f"  {name}", *columns.cells(m)] for name, m in named.items()]
    return rows


def comparison_lines(results: Mapping[str, Any]) -> list[str]:
    """Differences of regimes, and the range over repeats, a sentence each."""
    columns = columns_of(results)
    title, score, unit = columns.title, columns.score, columns.unit(results)
    lines = []
    for name, c in results["comparisons"].items():
        ends = [number_or_nan(end) for end in c[f"{score}_difference_95"]]
        low, high = sorted(columns.sign * end for end in ends)
        verdict = "better" if low > 0 else "worse" if high < 0 else "no clear difference"
        value = f"{c[f'{score}_difference']:+z.2f}{unit} (95 % {span(ends, '+.2f')})"
        lines.append(f"{title} {name}: {value}: {verdict}")
    for regime, r in results["regimes"].items():
        over = r["over_repeats"]
        if over["repeats"] > 1:
            ends = f"range {over['min']:.2f}-{over['max']:.2f}"
            lines.append(
                f"{regime}: {title} over {over['repeats']} splits {over['mean']:.2f} ({ends})"
            )
    return lines


def render_table(results: Mapping[str, Any]) -> str:
    """The table as text: every regime per client, pooled by test scans and macro.

    Args:
      results: `fedbrain.analysis.results.summarise`, with `unit` and `synthetic`, and `classes`
        where they are predicted.
    """
    warning = "SYNTHETIC data: says nothing about real brains. " if results["synthetic"] else ""
    legend = columns_of(results).legend.format(unit=results["unit"])
    lines = [f"{warning}Test sets, {legend}", *align(regime_rows(results))]
    for rows in (crossed_rows(results), confusion_rows(results)):
        lines += align(rows) if rows else []
    gaps = [] if results.get("classes") else _gaps(results["regimes"])
    return "\n".join([*lines, *gaps, *comparison_lines(results)])
