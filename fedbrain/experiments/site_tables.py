"""The tables of a grid from what sites send: one row a site, regime, experiment and seed. They are
the same for a simulated grid and for one between hospitals, bit for bit.

They are printed, and written to WORKDIR/site_tables.txt.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fedbrain.analysis.cells import align
from fedbrain.analysis.columns import columns_of
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


def tables(workdir: Path) -> Iterator[str]:
    """Lines of text: a table for every experiment of the grid with a finished seed.

    Args:
      workdir: of the grid.

    Raises:
      ValueError: when nothing is finished.
    """
    config = read_config(workdir)["config"]
    nothing = True
    for row in ("first", *config["rows"]):
        named: dict[str, Any] = {}
        results: dict[str, Any] = {}
        for seed in range(config["seeds"]):
            path = workdir / row / f"seed{seed}" / "results.json"
            if not path.is_file():
                continue
            results = not_defined_as_nan(json.loads(path.read_text(encoding="utf-8")))
            if nothing and results["synthetic"]:
                yield "SYNTHETIC data: says nothing about real brains."
            nothing = False
            for regime, rows in rows_of_sites(results).items():
                means = {**rows, "mean, sites alike": macro(rows)}
                named |= {f"{regime}, seed {seed}, {site}": m for site, m in means.items()}
        if named:
            columns = columns_of(results)
            yield f"\n{row}: test sets, {columns.legend.format(unit=results['unit'])}"
            yield from align(accuracy_rows(named, columns))
    if nothing:
        raise ValueError(f"{workdir}: no experiment is finished.")


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
