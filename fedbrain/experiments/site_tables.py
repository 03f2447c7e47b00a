"""The tables of a grid from what sites send: one row a site, regime, experiment and seed. They are
the same for a simulated grid and for one between hospitals, bit for bit.

They are printed, and written to WORKDIR/site_tables.txt.
"""

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from fedbrain.analysis.cells import align
from fedbrain.analysis.columns import Columns, columns_of
from fedbrain.analysis.intervals import UNDEFINED
from fedbrain.analysis.measures import macro
from fedbrain.analysis.results_table import GAP_HEADER, accuracy_rows, gap_row
from fedbrain.analysis.site_sums import gap_of
from fedbrain.data.whole_file import write_whole
from fedbrain.experiments.finished import not_defined_as_nan
from fedbrain.experiments.workdir import read_config

OF_HOSPITALS = {"federated": "clients", "local": "alone"}  # regime -> its rows in `results.json`
TITLES = {"federated": "Together", "local": "Each site alone"}  # of tables; others have their name
ALIKE = "mean, sites alike"  # name of a row
Rows = Mapping[str, Mapping[str, Any]]  # site -> accuracy on its test scans


def rows_of_sites(results: Mapping[str, Any]) -> dict[str, Rows]:
    """Regime or linear regression -> rows of its sites.

    Args:
      results: what `results.json` holds, of a simulation or of a run between hospitals.
    """
    if "regimes" in results:
        found = {regime: results["regimes"][regime]["clients"] for regime in OF_HOSPITALS
                 if regime in results["regimes"]}  # fmt: skip
    else:
        found = {regime: results.get(key) or {} for regime, key in OF_HOSPITALS.items()}
    found |= {title: floor["clients"] for title, floor in results.get("baselines", {}).items()}
    return {name: rows for name, rows in found.items() if rows}


def pooled_of(results: Mapping[str, Any], regime: str) -> Mapping[str, Any]:
    """The row over all test scans, as far as sums tell it; empty where sites tell none.

    Args:
      results: what `results.json` holds, of a simulation or of a run between hospitals.
      regime: federated or local, or the title of a linear regression.
    """
    of_floor = results.get("baselines", {}).get(regime, {}).get("pooled") or {}
    if "regimes" not in results:
        own = {"federated": "pooled", "local": "alone_pooled"}
        return (results.get(own[regime]) or {}) if regime in own else of_floor
    row = results["regimes"][regime].get("pooled") or {} if regime in OF_HOSPITALS else of_floor
    if "age_gap" not in row:
        return {}
    undefined = {"corrected_mae": math.nan, "corrected_mae_95": list(UNDEFINED)}
    told = {name: value for name, value in row.items() if name not in ("mae_se", "r_95", "p")}
    return {**told, "mae_95": list(UNDEFINED), "age_gap": {**row["age_gap"], **undefined}}


def named_rows(results: Mapping[str, Any]) -> dict[str, Rows]:
    """Regime or linear regression -> rows of its sites, of all test scans where sums tell them, and
    the mean over sites.

    Args:
      results: what `results.json` holds.
    """
    return {
        name: {
            **rows,
            **({"pooled": row} if (row := pooled_of(results, name)) else {}),
            "macro": macro(rows),
        }
        for name, rows in rows_of_sites(results).items()
    }


def missing_of(results: Mapping[str, Any]) -> Iterator[str]:
    """What sites did not tell of regressions and cohorts, a sentence each.

    Args:
      results: what `results.json` holds; a run on one machine misses nothing.
    """
    for title, floor in (results.get("baselines") or {}).items():
        without, untold = floor.get("without", {}), floor.get("untold", {})
        yield from (f"{title}: fitted without {site}: {why}" for site, why in without.items())
        yield from (f"{title}: {site}: no test results: {why}" for site, why in untold.items())
    for site, why in (results.get("undescribed") or {}).items():
        yield f"{site}: no tables of its cohort: {why}"


def gaps_of(rows: Rows) -> dict[str, Mapping[str, Any]]:
    """Site -> its age gap; of sites that tell it.

    Args:
      rows: site -> accuracy on its test scans.
    """
    return {
        site: gap_of(row["sums"]) if "sums" in row else row["age_gap"]
        for site, row in rows.items()
        if "sums" in row or "age_gap" in row
    }


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
    gaps: dict[str, Mapping[str, Any]]  # likewise -> age gap, where sites tell it


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
        told = told or Told(folder.name, legend, columns, results["synthetic"], {}, {})
        for regime, rows in rows_of_sites(results).items():
            over_all = {"all test scans": p} if (p := pooled_of(results, regime)) else {}
            means = {**rows, **over_all, ALIKE: macro(rows)}
            told.rows.update({f"{regime}, seed {seed}, {site}": m for site, m in means.items()})
            gaps = gaps_of({**rows, **over_all})
            told.gaps.update({f"{regime}, seed {seed}, {site}": g for site, g in gaps.items()})
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
    for name, legend, columns, _, rows, gaps in told:
        yield f"\n{name}: test sets, {legend}"
        yield from align(accuracy_rows(rows, columns))
        if gaps:
            yield f"{name}: age gap; n/a over all test scans: what needs each person's error."
            yield from align([list(GAP_HEADER), *(gap_row(*item) for item in gaps.items())])


def run(workdir: Path) -> None:
    """Prints and writes the tables of a grid.

    Args:
      workdir: of the grid.

    Raises:
      ValueError: when nothing is finished there.
    """
    text = "\n".join(tables(workdir))
    print(text)
    write_whole(workdir / "site_tables.txt", text + "\n")
