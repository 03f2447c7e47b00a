"""The report of a sweep, from its folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fedbrain.analysis import sweep_table, tuning_table
from fedbrain.analysis.html_page import Block, Section, Table
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


def results_from(told: Mapping[str, Any]) -> Results:
    """From what `comparison.json` holds.

    Args:
      told: its fields.
    """
    lines = [
        sweep_table.Line(**{**line, "interval": tuple(line["interval"])}) for line in told["lines"]
    ]
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
    )


def sweep_sections(workdir: Path) -> tuple[bool, list[Section]]:
    """Whether data are synthetic, and the sections.

    Args:
      workdir: of a finished sweep.

    Raises:
      ValueError: when there is none.
    """
    results, config = results_from(read_comparison(workdir)), config_of(workdir)
    label = label_of(results)
    rows = sweep_table.rows_of(results.lines, label)
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
        rows = under_headings(tuning_rows(results.tuning, label), str)
        blocks.append(Table(caption, rows))
    methods = [("method, field", "value")]
    for name, own in config["methods"].items():
        rows_of_method = list(fields_in_words(own, f"{name}: ")) or [[name, "as all"]]
        methods += [(field, hide(value)) for field, value in rows_of_method]
    made = read_object(workdir / "made_by.json").get("processes") or []
    return results.synthetic, [
        Section("Comparison", blocks),
        Section("What methods change", [Table("Fields of methods", methods, text=True)]),
        Section("What was asked of all", asked_tables(config["experiment"])),
        made_section({"": made}),
        cite_section(None, {}),
    ]
