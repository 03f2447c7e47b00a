"""Test predictions in a site's own folder: written by an experiment, read by tables of a grid."""

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
    """Writes one table a site; it names subjects and never leaves the hospital.

    Args:
      workdir: of the experiment.
      repeats: number of the repeat -> predictions.
    """
    rows: dict[str, list[tuple[object, ...]]] = {}
    for repeat, regimes in repeats.items():
        for regime, sites in regimes.items():
            for site, parts in sites.items():
                p = parts["test"]
                for subject, *numbers in zip(p.subjects, p.target, p.prediction, p.floor):
                    name = subject.removeprefix(f"{site}/")
                    row = (repeat, regime, name, *(f"{v:.9g}" for v in numbers))
                    rows.setdefault(site, []).append(row)
    for site, site_rows in rows.items():
        write_table(_path(workdir, site), COLUMNS, site_rows)


def read_tests(workdir: Path) -> dict[str, dict[str, Predictions]]:
    """Regime, model or baseline -> site -> predictions of all repeats."""
    predictions: dict[str, dict[str, Predictions]] = {}
    for path in sorted((workdir / "clients").glob("*/test.tsv")):
        site = path.parent.name
        by_regime: dict[str, list[dict[str, str]]] = {}
        for row in read_table(path):
            by_regime.setdefault(row["regime"], []).append(row)
        for regime, rows in by_regime.items():
            subjects = [f"{site}/{row['subject']}" for row in rows]
            numbers = [
                np.asarray([row[column] for row in rows], np.float32)
                for column in ("target", "prediction", "floor")
            ]
            predictions.setdefault(regime, {})[site] = Predictions(subjects, *numbers)
    return predictions
