"""The tables of a grid, finished or not: ours beside published numbers, every client's model on
every client's test scans, paired differences and what may be claimed.

They are printed, and written to WORKDIR/tables.txt and WORKDIR/tables.json.
"""

from collections.abc import Iterator, Mapping
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

from fedbrain.analysis import grid_table
from fedbrain.analysis.cells import align
from fedbrain.analysis.claims import ALL, SEEDS, Paired, Seeds, paired, sentence
from fedbrain.analysis.intervals import span
from fedbrain.analysis.stored_predictions import read_tests
from fedbrain.data.whole_file import write_whole
from fedbrain.experiments.stored_json import read_stored
from fedbrain.experiments.workdir import config_of, write_json


class Row(NamedTuple):
    """One experiment of a grid: its finished seeds."""

    name: str  # of the row, or "first"
    seeds: list[str]  # names of their folders
    results: dict[str, Any]  # of the first seed: unit, images, footprint, names of regimes
    tests: Mapping[str, Seeds]  # regime, model or baseline -> seeds -> site -> predictions


class Comparison(NamedTuple):
    """Paired differences between two regimes, baselines or experiments."""

    unit: str  # of the differences
    first: str  # what is compared
    second: str  # what it is compared with
    differences: dict[str, Paired]  # site, or all sites -> the first - the second


def read_row(workdir: Path, name: str, seeds: int) -> Row | None:
    """Reads the finished seeds of an experiment; None when no seed is finished.

    Args:
      workdir: of the grid.
      name: of the experiment.
      seeds: how many are planned.
    """
    folders = [workdir / name / f"seed{k}" for k in range(seeds)]
    done = [folder for folder in folders if (folder / "results.json").is_file()]
    if not done:
        return None
    results = read_stored(done[0] / "results.json", "the results of an experiment")
    of_seeds = [read_tests(folder) for folder in done]
    sites = list(results["images"])
    tests = {
        name: [{s: seed[name][s] for s in sites if s in seed[name]} for seed in of_seeds]
        for name in of_seeds[0]
    }
    return Row(name, [folder.name for folder in done], results, tests)


def comparisons(rows: list[Row]) -> Iterator[Comparison]:
    """Compares regimes and baselines within a row, and rows within a regime.

    Args:
      rows: with at least one finished seed each.
    """
    for row in rows:
        regimes, baselines = (list(row.results[k]) for k in ("regimes", "baselines"))
        for a, b in [*combinations(regimes, 2), *((r, f) for r in regimes for f in baselines)]:
            differences = paired(row.tests[a], row.tests[b])
            yield Comparison(row.results["unit"], f"{row.name}, {a}", b, differences)
    for first, second in combinations([row for row in rows if row.name != "first"], 2):
        unit = first.results["unit"]
        comparable = unit == second.results["unit"] and first.seeds == second.seeds
        for regime in first.results["regimes"]:
            if comparable and regime in second.tests:
                differences = paired(first.tests[regime], second.tests[regime])
                yield Comparison(unit, f"{regime}, {first.name}", second.name, differences)


def comparison_rows(compared: list[Comparison]) -> list[list[str]]:
    """A header, then differences per site.

    Args:
      compared: pairs, with their differences; at least one.
    """
    rows = [["the first - the second: MAE, of classes accuracy", *compared[0].differences]]
    for c in compared:
        cells = [
            f"{_cell(d)} {d.better}/{d.seeds}{'*' if d.holds else ' '}"
            for d in c.differences.values()
        ]
        rows.append([f"  {c.first} - {c.second}", *cells])
    return rows


def claims_of(compared: list[Comparison]) -> tuple[list[str], list[str]]:
    """What may be claimed over all test scans, and what may not: a sentence each.

    Args:
      compared: pairs, with their differences.
    """
    lines: dict[bool, list[str]] = {True: [], False: []}
    for c in compared:
        over_all = c.differences[ALL]
        lines[over_all.holds].append(sentence(c.first, c.second, over_all, c.unit))
    return lines[True], lines[False]


def legend(compared: list[Comparison]) -> list[str]:
    """How to read `comparison_rows`.

    Args:
      compared: pairs, with their differences.
    """
    count = sum(len(c.differences) for c in compared)
    return [
        "Paired differences: 95 % over people; seeds in which the first is better.",
        f"* may be claimed: {SEEDS} seeds at least, an interval without 0, all seeds on one side.",
        f"Of {count} intervals, about {count / 20:.0f} would miss by chance.",
    ]


def render_comparisons(compared: list[Comparison]) -> list[str]:
    """A table of differences per site, then what may be claimed over all test scans.

    Args:
      compared: pairs, with their differences.
    """
    if not compared:
        return []
    claims, no_claims = claims_of(compared)
    return [
        *legend(compared),
        *align(comparison_rows(compared)),
        f"\nWhat may be claimed over {ALL}:",
        *(claims or ["nothing"]),
        "\nWhat may not be claimed:",
        *(no_claims or ["nothing"]),
    ]


def _cell(d: Paired) -> str:
    return f"{d.mean:+z.2f} ({span(d.interval, '+.2f')})"


def read_grid(workdir: Path) -> dict[str, Any]:
    """The configuration of a grid.

    Args:
      workdir: of the grid.

    Raises:
      ValueError: when there is none.
    """
    if not (workdir / "config.json").is_file():
        raise ValueError(
            f"{workdir}: expected the work directory of a grid, got no config.json there."
        )
    config = config_of(workdir)
    if not isinstance(config.get("rows"), dict):
        raise ValueError(
            f"{workdir}: expected the work directory of a grid, got that of a single experiment."
        )
    return config


def render_row(
    row: Row, planned: int, published: Mapping[str, Any]
) -> tuple[list[str], dict[str, Any]]:
    """One experiment as text and as numbers.

    Args:
      row: the experiment.
      planned: number of seeds that the grid has.
      published: numbers of others to print beside ours.

    Returns:
      (lines of text, what `tables.json` holds).
    """
    images = row.results["images"]
    footprint = row.results["footprint"]
    left = f" ({planned - len(row.seeds)} to come)" if len(row.seeds) < planned else ""
    measured = {key: grid_table.measure(seeds, images) for key, seeds in row.tests.items()}
    crossed = {key: measured.pop(key) for key in row.results["crossed"]}
    text = [
        (
            f"\n{row.name}: {row.results['unit']}, seeds: {len(row.seeds)}{left}; trainable"
            f" parameters: {footprint['trained']:,} of {footprint['parameters']:,}; each client"
            f" sends {footprint['sent_bytes']:,} bytes per round (uncompressed)"
        ),
        grid_table.render(measured, published),
        *([grid_table.render_crossed(crossed)] if crossed else []),
    ]
    return text, {"seeds": row.seeds, "regimes": measured, "crossed": crossed}


def read_rows(workdir: Path, config: Mapping[str, Any]) -> list[Row]:
    """The experiments of a grid with at least one finished seed.

    Args:
      workdir: of the grid.
      config: of the grid.

    Raises:
      ValueError: when nothing is finished.
    """
    started = [read_row(workdir, n, config["seeds"]) for n in ("first", *config["rows"])]
    rows = [row for row in started if row is not None]
    if not rows:
        raise ValueError(f"{workdir}: no experiment is finished. Run fedbrain grid first.")
    return rows


def run(workdir: Path) -> None:
    """Prints and writes the tables of a grid.

    Args:
      workdir: of the grid.

    Raises:
      ValueError: when nothing is finished there, or it is no grid's.
    """
    rows = read_rows(workdir, config := read_grid(workdir))
    text = (
        ["SYNTHETIC data: says nothing about real brains."]
        if any(row.results["synthetic"] for row in rows)
        else []
    )
    text.append(
        "MAE, of classes accuracy, with 95 % over people and range over seeds; n test: test scans"
        " of all seeds; floor: median predictor, or the largest class."
    )
    text += [f"Published: {config['source']}."] if config["source"] else []
    record = {}
    for row in rows:
        lines, record[row.name] = render_row(
            row, config["seeds"], config["published"].get(row.name, {})
        )
        text += lines
    compared = list(comparisons(rows))
    text += ["", *render_comparisons(compared)]
    print("\n".join(text))
    differences = {
        f"{c.first} - {c.second}": {site: d.numbers() for site, d in c.differences.items()}
        for c in compared
    }
    write_json(workdir / "tables.json", {"rows": record, "differences": differences})
    write_whole(workdir / "tables.txt", "\n".join(text) + "\n")
