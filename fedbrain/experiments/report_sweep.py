"""The report of a sweep, from its folder."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fedbrain.analysis import sweep_table, tuning_table
from fedbrain.analysis.cells import p_value
from fedbrain.analysis.columns import columns_of
from fedbrain.analysis.html_page import Block, Items, Section, Table
from fedbrain.analysis.intervals import span
from fedbrain.experiments.finished import read_comparison
from fedbrain.experiments.public_text import hide
from fedbrain.experiments.report_headings import under_headings
from fedbrain.experiments.report_sections import (
    asked_tables,
    cite_section,
    made_section,
    pictures,
    read_object,
)
from fedbrain.experiments.report_study import fields_in_words
from fedbrain.experiments.sweep_results import Results, label_of, tuning_rows
from fedbrain.experiments.workdir import config_of

LEVEL = 0.05  # of p after Holm's correction, below which a difference is claimed


def results_from(told: Mapping[str, Any]) -> Results:
    """From what `comparison.json` holds.

    Args:
      told: its fields.
    """
    lines, floors = (
        [sweep_table.Line(**{**x, "interval": tuple(x["interval"])}) for x in told.get(name, [])]
        for name in ("lines", "floors")
    )
    differences = [
        sweep_table.Difference(**{**one, "interval": tuple(one["interval"])})
        for one in told["differences"]
    ]
    tuning = [tuning_table.from_numbers(one) for one in told["tuning"]]
    return Results(
        unit=told["unit"],
        classes=told["classes"],
        synthetic=told["synthetic"],
        repeats=told["repeats"],
        lines=lines,
        differences=differences,
        tuning=tuning,
        floors=floors,
        valid_floors=told.get("valid_floors", {}),
    )


def in_short(results: Results) -> Iterator[str]:
    """What came out: the best method beside every floor, and what may be claimed of methods.

    Args:
      results: of the sweep.
    """
    columns, unit = columns_of({"classes": results.classes}), results.unit
    best = results.lines[0]

    def score(line: sweep_table.Line) -> str:
        of_numbers = "" if results.classes else f" {unit}"
        return f"{columns.title} {line.score:.2f}{of_numbers} (95 % {span(line.interval)})"

    yield f"Best of {len(results.lines)}: {best.method}, {best.n} test scans: {score(best)}."
    for line in results.floors:
        yield f"{line.method[:1].upper()}{line.method[1:]}: {score(line)}."
    for one in results.differences:
        if one.holm < LEVEL:
            good = columns.sign * one.mean > 0
            claim = columns.claims[0 if good else 1]
            told = f"{one.mean:+.2f} (95 % {span(one.interval, '+.2f')}), p by Holm"
            yield f"{one.method} {claim} {one.reference}: {told} {p_value(one.holm)}."
    if results.differences and not any(one.holm < LEVEL for one in results.differences):
        yield f"No difference has a p below {LEVEL} after Holm's correction."


def sweep_sections(workdir: Path) -> tuple[bool, list[Section]]:
    """Whether data are synthetic, and the sections.

    Args:
      workdir: of a finished sweep.

    Raises:
      ValueError: when there is none.
    """
    results, config = results_from(read_comparison(workdir)), config_of(workdir)
    label = label_of(results)
    rows = sweep_table.rows_of([*results.lines, *results.floors], label)
    blocks: list[Block] = [
        Table(f"Methods, best first; {results.repeats} splits", rows),
        sweep_table.NOTE,
    ]
    if found := results.differences:
        table = Table("Methods minus references", sweep_table.difference_rows(found))
        blocks += [table, sweep_table.note(found)]
    blocks += pictures({f"{label} of every method, with 95 %": workdir / "comparison.png"})
    if results.tuning:
        caption = "Settings tried, on validation people; mean and range over splits"
        told = tuning_rows(results.tuning, label, results.valid_floors)
        blocks.append(Table(caption, under_headings(told, str)))
    methods = [("method, field", "value")]
    for name, own in config["methods"].items():
        rows_of_method = list(fields_in_words(own, f"{name}: ")) or [[name, "as all"]]
        methods += [(field, hide(value)) for field, value in rows_of_method]
    made = read_object(workdir / "made_by.json").get("processes") or []
    return results.synthetic, [
        Section("In short", [Items([*in_short(results)])]),
        Section("Comparison", blocks),
        Section("What methods change", [Table("Fields of methods", methods, text=True)]),
        Section("What was asked of all", asked_tables(config["experiment"])),
        made_section({"": made}),
        cite_section(None, {}),
    ]
