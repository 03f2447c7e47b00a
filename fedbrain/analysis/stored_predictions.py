"""Test predictions in a site's own folder, written by an experiment and read by the tables of a
grid.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from fedbrain.analysis.statistics import Predictions
from fedbrain.data.tables import read_table, write_table

COLUMNS = ["repeat", "regime", "subject", "target", "prediction", "floor"]

# regime, model or baseline -> site -> part -> predictions
RegimePredictions = Mapping[str, Mapping[str, Mapping[str, Predictions]]]


def _path(workdir: Path, site: str) -> Path:
    return workdir / "clients" / site / "test.tsv"


def write_tests(workdir: Path, repeats: Mapping[int, RegimePredictions]) -> None:
    """One table a site: it names subjects and never leaves the hospital."""
    rows: dict[str, list[tuple[object, ...]]] = {}
    for repeat, judged in repeats.items():
        for regime, sites in judged.items():
            for site, parts in sites.items():
                p = parts["test"]
                numbers = (
                    [f"{v:.9g}" for v in column] for column in (p.target, p.prediction, p.floor)
                )
                told = zip(p.subjects, *numbers)
                rows.setdefault(site, []).extend(
                    (repeat, regime, s.removeprefix(f"{site}/"), *n) for s, *n in told
                )
    for site, lines in rows.items():
        write_table(_path(workdir, site), COLUMNS, lines)


def read_tests(workdir: Path) -> dict[str, dict[str, Predictions]]:
    """regime, model or baseline -> site -> predictions of all repeats."""
    found: dict[str, dict[str, Predictions]] = {}
    for path in sorted((workdir / "clients").glob("*/test.tsv")):
        site, rows = path.parent.name, read_table(path)
        for regime in dict.fromkeys(row["regime"] for row in rows):
            mine = [row for row in rows if row["regime"] == regime]
            numbers = (
                np.asarray([row[c] for row in mine], np.float32)
                for c in ("target", "prediction", "floor")
            )
            found.setdefault(regime, {})[site] = Predictions(
                [f"{site}/{row['subject']}" for row in mine], *numbers
            )
    return found
