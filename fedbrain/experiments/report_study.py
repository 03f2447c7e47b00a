"""The report of a study, from its folder."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fedbrain.analysis import method_differences, study_table, tuning_table
from fedbrain.analysis.html_page import Block, Items, Section, Table
from fedbrain.experiments.finished import read_comparison
from fedbrain.experiments.public_text import hide
from fedbrain.experiments.report_headings import attack_in_words, under_headings
from fedbrain.experiments.report_sections import (
    cite_section,
    made_section,
    pictures,
    read_object,
)
from fedbrain.experiments.workdir import config_of


def fields_in_words(config: Mapping[str, Any], prefix: str = "") -> Iterator[list[str]]:
    """(field, with dots; its value as text) of nested fields.

    Args:
      config: fields.
      prefix: of the names.
    """
    for name, value in config.items():
        if isinstance(value, Mapping) and value:
            yield from fields_in_words(value, f"{prefix}{name}.")
        else:
            text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            yield [f"{prefix}{name}", hide(text) or "none"]


def _differences(told: list[Any]) -> list[Block]:
    """Methods minus references; those of an earlier version are lines of text."""
    if isinstance(told[0], str):
        return [Items(told)]
    found = [method_differences.from_numbers(one) for one in told]
    rows = under_headings(
        method_differences.rows_of(found), attack_in_words([one.attack for one in found])
    )
    blocks: list[Block] = [Table("Methods minus references", rows)]
    blocks.append(method_differences.note(found))
    lines = method_differences.by_client(found)
    return [*blocks, Items(lines)] if lines else blocks


def _tuning(told: Mapping[str, Any], workdir: Path, unit: str) -> list[Block]:
    """What was tried of every method, and what each seed chose."""
    methods = [tuning_table.from_numbers(one) for one in told["methods"]]
    rows = tuning_table.rows_of(methods, np.asarray(told["floor"], np.float64), unit)
    rows = under_headings(rows, attack_in_words([one.attack for one in methods]), columns=2)
    caption = (
        "Settings tried, on validation examples, which are some of the training examples; each seed"
        " chose by its own"
    )
    figure = {"Best score on validation examples with each value": workdir / "tuning.png"}
    return [Table(caption, rows), *pictures(figure)]


def study_sections(workdir: Path) -> tuple[bool, list[Section]]:
    """Whether data are synthetic, and the sections.

    Args:
      workdir: of a finished study.

    Raises:
      ValueError: when there is none.
    """
    results = read_comparison(workdir)
    config = config_of(workdir)
    lines = [study_table.from_numbers(line) for line in results["lines"]]
    rows = study_table.rows_of(lines, results["unit"])
    rows = under_headings(rows, attack_in_words([line.attack for line in lines]))
    attacked = " under each attack" if len({line.attack for line in lines}) > 1 else ""
    caption = f"Methods, best first{attacked}; {config['seeds']} seeds"
    blocks: list[Block] = [Table(caption, rows)]
    if notes := study_table.skipped_rounds(lines):
        blocks.append(Items(notes))
    if told := results.get("differences"):
        blocks += _differences(told)
    blocks += pictures({"Mean and range over seeds of every method": workdir / "comparison.png"})
    if told := results.get("tuning"):
        blocks += _tuning(told, workdir, results["unit"])
    made = read_object(workdir / "made_by.json").get("processes") or []
    asked = Table("Configuration", [("field", "value"), *fields_in_words(config)], text=True)
    return results["synthetic"], [
        Section("Comparison", blocks),
        Section("What was asked", [asked]),
        made_section({"": made}),
        cite_section(None, {}),
    ]
