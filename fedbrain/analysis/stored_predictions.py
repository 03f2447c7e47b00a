"""Test predictions in a site's own folder: written by an experiment, read by tables of a grid."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from fedbrain.analysis.prediction_cells import (
    CLASS,
    class_names,
    prediction_cells,
    prediction_columns,
    target_cell,
)
from fedbrain.analysis.predictions import Predictions, concatenate
from fedbrain.data.tables import read_table, write_table

# regime, model or baseline -> site -> part -> predictions
RegimePredictions = Mapping[str, Mapping[str, Mapping[str, Predictions]]]


FORM = ".9g"  # digits that give the same float32 back


def columns_of(classes: Sequence[str]) -> list[str]:
    """Columns of a target and its prediction."""
    return ["target", *prediction_columns(classes)]


def cells_of(p: Predictions) -> list[list[str]]:
    """The cells of `columns_of`, of each scan."""
    return [
        [target_cell(t, p.classes, FORM), *prediction_cells(y, p.classes, FORM)]
        for t, y in zip(p.target, p.prediction)
    ]


def _path(workdir: Path, site: str) -> Path:
    return workdir / "clients" / site / "test.tsv"


def write_tests(workdir: Path, repeats: Mapping[int, RegimePredictions]) -> None:
    """Writes one table a site; it names subjects and never leaves the hospital.

    Args:
      workdir: of the experiment.
      repeats: number of the repeat -> predictions.
    """
    rows: dict[str, list[tuple[object, ...]]] = {}
    columns: list[str] = []
    for repeat, regimes in repeats.items():
        for regime, sites in regimes.items():
            for site, parts in sites.items():
                p = parts["test"]
                columns = ["repeat", "regime", "subject", *columns_of(p.classes), "floor"]
                names = [subject.removeprefix(f"{site}/") for subject in p.subjects]
                floors = [prediction_cells(x, p.classes, FORM)[0] for x in p.floor]
                rows.setdefault(site, []).extend(
                    (repeat, regime, name, *cells, floor)
                    for name, cells, floor in zip(names, cells_of(p), floors)
                )
    for site, site_rows in rows.items():
        write_table(_path(workdir, site), columns, site_rows)


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
            predictions.setdefault(regime, {})[site] = _parse(subjects, rows)
    return predictions


def read_repeats(workdir: Path) -> dict[int, dict[str, Predictions]]:
    """Number of the repeat -> site -> test predictions, of an experiment with one regime.

    Args:
      workdir: of the experiment.
    """
    found: dict[int, dict[str, Predictions]] = {}
    for path in sorted((workdir / "clients").glob("*/test.tsv")):
        site, rows = path.parent.name, read_table(path)
        of_regime = [row for row in rows if row["regime"] == rows[0]["regime"]]
        for repeat in sorted({int(row["repeat"]) for row in of_regime}):
            own = [row for row in of_regime if int(row["repeat"]) == repeat]
            subjects = [f"{site}/{row['subject']}" for row in own]
            found.setdefault(repeat, {})[site] = _parse(subjects, own)
    return found


def read_validation(workdir: Path) -> dict[int, Predictions]:
    """Number of the repeat -> predictions for the validation scans of all sites, of an experiment
    with one regime. They are named by their scans; their floor is that of the site's test scans of
    the same repeat.

    Args:
      workdir: of the experiment.
    """
    parts: dict[int, list[Predictions]] = {}
    for path in sorted((workdir / "clients").glob("*/predictions.tsv")):
        by_repeat: dict[int, list[dict[str, str]]] = {}
        floors = _floors(path.parent / "test.tsv")
        for row in read_table(path):
            if row["part"] == "valid":
                repeat = int(row["split"].removeprefix("repeat").partition("-")[0])
                by_repeat.setdefault(repeat, []).append({**row, "floor": floors[repeat]})
        for repeat, rows in by_repeat.items():
            names = [f"{path.parent.name}/{row['scan_id']}" for row in rows]
            parts.setdefault(repeat, []).append(_parse(names, rows))
    return {repeat: concatenate(some) for repeat, some in parts.items()}


def _floors(path: Path) -> dict[int, str]:
    """Number of the repeat -> floor of a site: one for all its scans."""
    rows = read_table(path)
    own = [row for row in rows if row["regime"] == rows[0]["regime"]]
    return {int(row["repeat"]): row["floor"] for row in own}


def _parse(subjects: list[str], rows: list[dict[str, str]]) -> Predictions:
    """The inverse of `cells_of`; the floor of classes is 1 for the largest one."""
    classes = class_names(list(rows[0]))
    if not classes:
        names = ("target", "prediction", "floor")
        target, prediction, floor = (
            np.asarray([row[name] for row in rows], np.float32) for name in names
        )
        return Predictions(subjects, target, prediction, floor)
    target, floor = (
        np.asarray([classes.index(row[name]) for row in rows]) for name in ("target", "floor")
    )
    columns = [[row[f"{CLASS}{name}"] for name in classes] for row in rows]
    largest = np.eye(len(classes), dtype=np.float32)[floor]
    probabilities = np.asarray(columns, np.float32)
    return Predictions(subjects, target.astype(np.float32), probabilities, largest, classes)
