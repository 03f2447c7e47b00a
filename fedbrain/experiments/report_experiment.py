"""The report of one experiment, a simulation or a run between hospitals, from its folder."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fedbrain.analysis import data_table
from fedbrain.analysis.html_page import Block, Items, Section, Table
from fedbrain.data.differences import differences
from fedbrain.data.scan_report import Report
from fedbrain.data.tables import read_table
from fedbrain.experiments import exclusions
from fedbrain.experiments.advice import FEWEST_PEOPLE
from fedbrain.experiments.finished import load
from fedbrain.experiments.public_text import hide, public_site
from fedbrain.experiments.report_agreement import agreement_section
from fedbrain.experiments.report_data import data_report_blocks, read_reports
from fedbrain.experiments.report_methods import methods_section
from fedbrain.experiments.report_record import record_section
from fedbrain.experiments.report_runs import runs_blocks
from fedbrain.experiments.report_sections import (
    asked_tables,
    cite_section,
    made_section,
    pictures,
    read_object,
)
from fedbrain.experiments.report_summary import summary_section
from fedbrain.experiments.report_tables import tables
from fedbrain.experiments.report_training import training_section
from fedbrain.experiments.site_intensities import intensities_section
from fedbrain.experiments.site_tables import missing_of
from fedbrain.experiments.workdir import MetricsLog

PARTS = ("train", "valid", "test")
PARTS_NAMES = ("training", "validation", "test")


def experiment_sections(workdir: Path) -> tuple[bool, list[Section]]:
    """Whether data are synthetic, and the sections.

    Args:
      workdir: of a finished experiment.

    Raises:
      ValueError: when there is none.
    """
    results = load(workdir).metrics
    config = read_object(workdir / "config.json").get("config") or {}
    made = read_object(workdir / "made_by.json").get("processes") or []
    models = results["variables_sha256"]
    models = models if isinstance(models, Mapping) else {"of the best round": models}
    return results["synthetic"], [
        summary_section(results),
        Section("Results", list(tables(results))),
        Section("Figures", figures_of(workdir, results, config)),
        Section("Training", list(runs_blocks(workdir, config.get("rounds")))),
        agreement_section(workdir, results),
        training_section(workdir, results),
        record_section(workdir) if "regimes" in results else Section("", []),
        Section("Who is missing", [Items(lines)] if (lines := list(_missing(workdir, results)))
                else ["No client and no scan, as far as the files in this folder say."]),
        Section("Warnings", [Items(lines)] if (lines := list(_warnings(workdir, config)))
                else ["None was found in this folder."]),
        Section("The data of the sites",
                [*data_report_blocks(workdir), *_data(results.get("data") or {})]),
        intensities_section(workdir, synthetic=results["synthetic"]),
        Section("Who holds what", [*_sites(workdir, results, config), *_cohorts(workdir)]),
        Section("What was asked", asked_tables(config)),
        methods_section(results, config),
        made_section({"": made}),
        cite_section(workdir / "results.json", models),
    ]  # fmt: skip


def _clients(results: Mapping[str, Any]) -> list[str]:
    return [*(results.get("images") or {**results["clients"], **results["untold"]})]


def _people(workdir: Path, client: str) -> dict[str, int]:
    """People of a client: all, and in the parts of the first split; empty where it is not known."""
    try:
        rows = read_table(workdir / "clients" / client / "scans.tsv")
    except ValueError:
        return {}
    split = next((name for name in (rows[0] if rows else {}) if name.startswith("repeat")), "")
    of = {part: {r["participant_id"] for r in rows if r.get(split) == part} for part in PARTS}
    everybody = {row["participant_id"] for row in rows}
    return {"all": len(everybody), **{part: len(people) for part, people in of.items()}}


def _sites(workdir: Path, results: Mapping[str, Any], config: Mapping[str, Any]) -> Iterator[Block]:
    sources = config.get("sites") or {}
    if declared := read_object(workdir / "sites.json"):
        counts = [[name, *(str(site.get(part, "n/a")) for part in PARTS)]
                  for name, site in declared.items() if isinstance(site, dict)]  # fmt: skip
        yield Table("Scans that sites declared, of the first split", [["", *PARTS_NAMES], *counts])
        return
    rows = [["", "scans", "people", *PARTS_NAMES, "read by"]]
    for name in _clients(results):
        people = _people(workdir, name)
        counts = [str(people.get(part, "n/a")) for part in ("all", *PARTS)]
        scans = str((results.get("images") or {}).get(name, "n/a"))
        source = public_site(str(sources[name])) if name in sources else "n/a"
        rows.append([name, scans, *counts, source])
    yield Table("Clients: scans, and people of the first split", rows)
    if "footprint" in results:
        f = results["footprint"]
        yield (
            f"{f['trained']:,} of {f['parameters']:,} parameters are trained; a client sends"
            f" {f['sent_bytes']:,} bytes in a round."
        )


def _cohorts(workdir: Path) -> Iterator[Block]:
    """Who holds what: the figure, and the same as a table."""
    path = workdir / "figures" / "clients.tsv"
    if not path.is_file():
        return
    yield from pictures({"People of every client, by target": path.with_suffix(".png")})
    rows = read_table(path)
    cells = [[hide(text) for text in row.values()] for row in rows]
    yield Table("People of every client, by target", [list(rows[0]), *cells])


def _missing(workdir: Path, results: Mapping[str, Any]) -> Iterator[str]:
    yield from exclusions.sentences(results.get("excluded") or {})
    for site, lost in (results.get("absent") or {}).items():
        why = hide(str(lost["reason"]))
        yield f"{site} is missing in {lost['rounds']} of {lost['of']} rounds; last reason: {why}"
    for site, why in (results.get("untold") or {}).items():
        yield f"{site}: no test results: {hide(str(why))}"
    yield from (hide(line) for line in missing_of(results) if "regimes" not in results)
    for report in read_reports(workdir):
        for reason, sentences in (report.get("left_out") or {}).items():
            count = f"{len(sentences)} scan{'s' * (len(sentences) != 1)}"
            yield f"{report.get('site')}: {count} left out: {hide(reason)}"


def _warnings(workdir: Path, config: Mapping[str, Any]) -> Iterator[str]:
    """What the counts in the folder say; sentences that name people are not among them."""
    yield from differences([_without_names(r) for r in read_reports(workdir)], _mask(config))
    for path in sorted(workdir.glob("clients/*/scans.tsv")):
        people = _people(workdir, path.parent.name)
        few = [
            f"{part} {people[part]}" for part in PARTS[1:] if people.get(part, 9) < FEWEST_PEOPLE
        ]
        if few:
            named = ", ".join(few)
            yield f"{path.parent.name}: fewer than {FEWEST_PEOPLE} people in a part: {named}."
    for path in [*sorted(workdir.glob("runs/*/*/metrics.jsonl")), workdir / "metrics.jsonl"]:
        history = MetricsLog.read(path)
        run = f"{path.parent.parent.name}/{path.parent.name}" if "runs" in path.parts else "the run"
        skipped = sum(bool(line.get("skipped")) for line in history)
        if skipped:
            yield f"{run}: the server took no step in {skipped} of {len(history)} rounds."
        if history and history[-1].get("best_round") == history[-1]["round"]:
            yield f"{run}: the last round was the best one: more rounds may help."


def _without_names(report: Mapping[str, Any]) -> Report:
    sizes = {
        tuple(float(edge) for edge in size.split(" x ")): count
        for size, count in (report.get("voxel_sizes_mm") or {}).items()
    }
    return Report(
        site=str(report.get("site")),
        voxel_sizes_mm=sizes,  # pyright: ignore[reportArgumentType]
        looked_at=report.get("looked_at", 0),
        without_skull=report.get("without_skull", 0),
    )


def _mask(config: Mapping[str, Any]) -> str:
    """The mask of the recipe; empty where it is not known."""
    try:
        node = ast.parse(str(config.get("prepare", "")), mode="eval").body
    except SyntaxError:
        return ""
    keywords = node.keywords if isinstance(node, ast.Call) else []
    return next((str(getattr(k.value, "value", "")) for k in keywords if k.arg == "mask"), "")


def _data(columns: Mapping[str, Any]) -> Iterator[Block]:
    for column, of_column in columns.items():
        sites = of_column["sites"].items()
        rows = [data_table.moments_cells(site, column, m) for site, m in sites]
        rows.append(data_table.moments_cells("all", column, of_column["all"]))
        yield Table(column, [data_table.MOMENTS, *rows])
        if lines := data_table.difference_lines(column, of_column):
            yield Items([line.strip() for line in lines])


def _unit_of_losses(results: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    """ ", in years", or nothing where a loss has no unit."""
    name = str(config.get("loss", "")).partition("(")[0].strip()
    powers = {"l1": "", "huber": "", "l2": " squared"}
    return f", in {results['unit']}{powers[name]}" if name in powers else ""


def figures_of(workdir: Path, results: Mapping[str, Any], config: Mapping[str, Any]) -> list[Block]:
    """Predictions of every regime; losses of every federation in its first split.

    Args:
      workdir: of the experiment.
      results: what `results.json` holds.
      config: as `config.json` has it; empty: it is not known.
    """
    losses = f"Training and validation losses{_unit_of_losses(results, config)}"
    shown = (
        "Confusion of classes"
        if results.get("classes")
        else f"Predicted against true {results['unit']}"
    )
    files = {
        f"{shown} on the test sets: {regime}":
        workdir / "figures" / f"predictions_{regime}.png"
        for regime in results.get("regimes") or {}
    }  # fmt: skip
    others = 0
    for federation in sorted(workdir.glob("runs/*")):
        first, *more = sorted(federation.glob("*/losses.png")) or [federation / "losses.png"]
        files[f"{losses}: {federation.name}, {first.parent.name}"] = first
        others += len(more)
    files[f"{losses} of every site"] = workdir / "losses.png"
    for path in sorted((workdir / "saliency").glob("*.png")):
        files[f"Where the model looks: {path.stem.replace('_', ' ')}"] = path
    blocks = pictures(files)
    rest = "the other split" if others == 1 else f"the {others} other splits"
    return [*blocks, f"Losses of {rest} are in runs/."] if others else blocks
