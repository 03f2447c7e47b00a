"""Writes the report of a work directory: one page of HTML."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fedbrain.analysis.cells import number
from fedbrain.analysis.claims import ALL
from fedbrain.analysis.columns import columns_of
from fedbrain.analysis.grid_table import crossed_rows, measure, site_rows
from fedbrain.analysis.html_page import Block, Items, Section, Table, render_page
from fedbrain.analysis.intervals import span
from fedbrain.analysis.results_table import accuracy_rows
from fedbrain.data.whole_file import write_whole
from fedbrain.experiments.catalogue import UsageError
from fedbrain.experiments.grid_tables import (
    claims_of,
    comparison_rows,
    comparisons,
    legend,
    read_grid,
    read_rows,
)
from fedbrain.experiments.public_text import hide
from fedbrain.experiments.report_experiment import experiment_sections, figures_of
from fedbrain.experiments.report_headings import of_seeds
from fedbrain.experiments.report_sections import (
    LABEL,
    asked_tables,
    cite_section,
    made_section,
    read_object,
)
from fedbrain.experiments.report_study import study_sections
from fedbrain.experiments.report_sweep import sweep_sections
from fedbrain.experiments.site_tables import ALIKE, Told, read_told
from fedbrain.experiments.writing import reason_of


def grid_sections(workdir: Path) -> tuple[bool, list[Section]]:
    """Whether data are synthetic, and the sections.

    Args:
      workdir: of a grid with a finished experiment.

    Raises:
      ValueError: when there is none.
    """
    config = read_grid(workdir)
    rows = read_rows(workdir, config)
    sections = []
    for row in rows:
        images = row.results["images"]
        measured = {key: measure(seeds, images) for key, seeds in row.tests.items()}
        crossed = {key: measured.pop(key) for key in row.results["crossed"]}
        blocks: list[Block] = [
            f"Seeds: {len(row.seeds)} of {config['seeds']}; range over seeds;"
            f" {columns_of(row.results).legend.format(unit=row.results['unit'])}",
            Table("Accuracy", site_rows(measured, config["published"].get(row.name, {}))),
        ]
        if crossed:
            blocks.append(Table("Models of one client on test scans", crossed_rows(crossed)))
        which = "first" if row.name == "first" else "second"
        figures = figures_of(workdir / row.name / row.seeds[0], row.results, config[which])
        figures = [f"Figures of {row.seeds[0]}:", *figures] if figures else []
        sections.append(Section(f"Experiment {row.name}", [*blocks, *figures]))
    compared = list(comparisons(rows))
    if compared:
        claims, no_claims = claims_of(compared)
        blocks = [f"What may be claimed over {ALL}:", Items(claims or ["nothing"])]
        blocks += [Table("Differences", comparison_rows(compared)), Items(legend(compared))]
        blocks += ["What may not be claimed:", Items(no_claims or ["nothing"])]
        sections.insert(0, Section("Comparisons", blocks))
    made = {
        f"{row.name}/{seed}": read_object(workdir / row.name / seed / "made_by.json").get(
            "processes", []
        )
        for row in rows
        for seed in row.seeds
    }
    synthetic = any(row.results["synthetic"] for row in rows)
    return synthetic, [*sections, *_asked(config), made_section(made), cite_section(None, {})]


def _asked(config: Mapping[str, Any]) -> list[Section]:
    """Of the first experiment, and what each of the others changes in the second."""
    rows = [[name, _changes(fields)] for name, fields in config["rows"].items()]
    changes = Table(
        "What each further experiment changes in config.second", [("experiment", "fields"), *rows],
        text=True,
    )  # fmt: skip
    return [
        Section("What was asked: the first experiment", asked_tables(config["first"])),
        Section("What was asked: the others", [*asked_tables(config["second"]), changes]),
    ]


def _changes(fields: Mapping[str, Any]) -> str:
    return hide(", ".join(f"{name}: {value}" for name, value in fields.items())) or "none"


def hospital_grid_sections(workdir: Path) -> tuple[bool, list[Section]]:
    """The same of a grid between hospitals, from what its sites told.

    Args:
      workdir: of a grid with a finished experiment.
    """
    config, told = read_grid(workdir), read_told(workdir)
    sections = [Section("In short", list(_means(told)))]
    for experiment in told:
        table = Table("Accuracy", of_seeds(accuracy_rows(experiment.rows, experiment.columns)))
        blocks: list[Block] = [f"Test sets, {experiment.legend}", table]
        sections.append(Section(f"Experiment {experiment.name}", blocks))
    made = {
        f"{path.parent.parent.name}/{path.parent.name}": read_object(path).get("processes") or []
        for name in ("first", *config["rows"])
        for path in sorted((workdir / name).glob("seed*/made_by.json"))
    }
    synthetic = any(t.synthetic for t in told)
    return synthetic, [*sections, *_asked(config), made_section(made), cite_section(None, {})]


def _means(told: Sequence[Told]) -> Iterator[Block]:
    """The mean over sites of every experiment, regime and seed."""
    yield from (f"Test sets, {legend}" for legend in dict.fromkeys(one.legend for one in told))
    for one in told:
        score, rows = one.columns.score, [["", one.columns.title, "95 %", "floor"]]
        for name, m in one.rows.items():
            if name.endswith(f", {ALIKE}"):
                told_of = number(m[score]), span(m[f"{score}_95"]), number(m[f"floor_{score}"])
                rows.append([name.removesuffix(f", {ALIKE}"), *told_of])
        yield Table(f"{one.name}: mean over sites, each counting alike", rows)


def _kind(workdir: Path, identity: Mapping[str, Any]) -> str:
    if "target" not in identity:
        return "Experiment"
    at_home = "regimes" in read_object(workdir / "results.json")
    return "A site's part of the run" if at_home else "Run between hospitals"


def write_report(workdir: Path, output: Path | None = None) -> Path:
    """Writes the page; nothing else changes on the disk.

    Args:
      workdir: of a finished experiment, a grid, a study or a sweep.
      output: the file; by default `report.html` in the work directory.

    Returns:
      Where it is.

    Raises:
      UsageError: for a file with another ending than .html.
      ValueError: naming the folder or the file.
    """
    path = output or workdir / "report.html"
    if path.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"{path}: expected the name of a page, FILE.html.")
    identity = read_object(workdir / "config.json")
    config = identity.get("config")
    is_grid = isinstance(config, dict) and "rows" in config
    is_sweep = isinstance(config, dict) and "experiment" in config
    is_study = isinstance(config, dict) and "methods" in config and not is_sweep
    try:
        read = grid_sections if is_grid else study_sections if is_study else experiment_sections
        read = sweep_sections if is_sweep else read
        read = hospital_grid_sections if "targets" in identity else read
        synthetic, sections = read(workdir)
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise ValueError(
            f"{workdir}: expected results as this version writes them, got others ({error!r}). Run"
            " the version that made_by.json names."
        ) from None
    study = "Sweep" if is_sweep else "Study" if is_study else _kind(workdir, identity)
    kind = "Grid" if is_grid else study
    title = f"{'SYNTHETIC: ' if synthetic else ''}{kind} {workdir.absolute().name}"
    page = render_page(title, LABEL if synthetic else "", sections)
    try:
        write_whole(path, page)
    except OSError as error:
        raise ValueError(
            f"{path}: the page cannot be written there ({reason_of(error)}). Choose another"
            " --output=FILE.html."
        ) from None
    return path
