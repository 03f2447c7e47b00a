"""The tables of a grid from what sites send: one row a site, regime, experiment and seed. They are
the same for a simulated grid and for one between hospitals, bit for bit.

They are printed, and written to WORKDIR/site_tables.txt.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from fedbrain.analysis.cells import align
from fedbrain.analysis.columns import Columns, columns_of
from fedbrain.analysis.measures import macro
from fedbrain.analysis.results_table import accuracy_rows
from fedbrain.experiments.checkpoints import write_atomically
from fedbrain.experiments.finished import not_defined_as_nan
from fedbrain.experiments.workdir import read_config

OF_HOSPITALS = {"federated": "clients", "local": "alone"}  # regime -> its rows in `results.json`
Rows = Mapping[str, Mapping[str, Any]]  # site -> accuracy on its test scans


def rows_of_sites(results: Mapping[str, Any]) -> dict[str, Rows]:
    """Regime -> rows of its sites.

    Args:
      results: what `results.json` holds, of a simulation or of a run between hospitals.
    """
    if "regimes" in results:
        found = {regime: results["regimes"][regime]["clients"] for regime in OF_HOSPITALS
                 if regime in results["regimes"]}  # fmt: skip
    else:
        found = {regime: results[key] for regime, key in OF_HOSPITALS.items()}
    return {regime: rows for regime, rows in found.items() if rows}


def rounds_of(results: Mapping[str, Any]) -> list[str]:
    """How many rounds a run between hospitals had, a line for each split.

    Args:
      results: what `results.json` holds.
    """
    splits = results.get("splits", {"": results})
    return [
        f"{name}{': rounds' if name else 'Rounds'}: {s['rounds']}; best round: {s['best_round']}."
        for name, s in splits.items()
    ]


class Told(NamedTuple):
    """What sites tell of one experiment of a grid."""

    name: str  # of the row, or "first"
    legend: str  # how its table is read
    columns: Columns  # of its table, which follow the kind of the target
    synthetic: bool  # whether images of no real person are among the scans
    rows: dict[str, Mapping[str, Any]]  # regime, seed and site -> accuracy on the test scans


def is_between_hospitals(workdir: Path) -> bool:
    """Whether a work directory is of a grid between hospitals.

    Args:
      workdir: of anything.
    """
    return (workdir / "config.json").is_file() and "targets" in read_config(workdir)


def read_told(workdir: Path) -> list[Told]:
    """The experiments of a grid with a finished seed.

    Args:
      workdir: of the grid.

    Raises:
      ValueError: when nothing is finished.
    """
    config = read_config(workdir)["config"]
    found = [_read(workdir / row, config["seeds"]) for row in ("first", *config["rows"])]
    told = [experiment for experiment in found if experiment is not None]
    if not told:
        raise ValueError(f"{workdir}: no experiment is finished.")
    return told


def _read(folder: Path, seeds: int) -> Told | None:
    told = None
    for seed in range(seeds):
        path = folder / f"seed{seed}" / "results.json"
        if not path.is_file():
            continue
        results = not_defined_as_nan(json.loads(path.read_text(encoding="utf-8")))
        columns = columns_of(results)
        legend = columns.legend.format(unit=results["unit"])
        told = told or Told(folder.name, legend, columns, results["synthetic"], {})
        for regime, rows in rows_of_sites(results).items():
            means = {**rows, "mean, sites alike": macro(rows)}
            told.rows.update({f"{regime}, seed {seed}, {site}": m for site, m in means.items()})
    return told


def tables(workdir: Path) -> Iterator[str]:
    """Lines of text: a table for every experiment of the grid with a finished seed.

    Args:
      workdir: of the grid.

    Raises:
      ValueError: when nothing is finished.
    """
    told = read_told(workdir)
    if any(experiment.synthetic for experiment in told):
        yield "SYNTHETIC data: says nothing about real brains."
    for name, legend, columns, _, rows in told:
        yield f"\n{name}: test sets, {legend}"
        yield from align(accuracy_rows(rows, columns))


def run(workdir: Path) -> None:
    """Prints and writes the tables of a grid.

    Args:
      workdir: of the grid.

    Raises:
      ValueError: when nothing is finished there.
    """
    text = "\n".join(tables(workdir))
    print(text)
    write_atomically(workdir / "site_tables.txt", text + "\n")
