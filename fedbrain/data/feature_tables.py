"""Tables of features, one a site: a person a row, covariates, and numbers measured by images."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from fedbrain.data.small_counts import FEWEST
from fedbrain.data.tables import Row, is_missing, parse_value, read_table, write_table

KEY = "participant_id"


class Table(NamedTuple):
    """The people of a site."""

    path: Path
    rows: list[Row]  # as they are written
    subjects: tuple[str, ...]
    covariates: Float[np.ndarray, "n k"]  # M and F are 1 and 0
    features: Float[np.ndarray, "n p"]  # float64, in their own units


def read_sites(
    paths: Sequence[Path], covariates: Sequence[str], features: Sequence[str]
) -> tuple[dict[str, Table], list[str]]:
    """Reads the tables of several sites.

    Args:
      paths: of TSV files; a site is called like its file.
      covariates: columns whose effect is kept.
      features: columns to read; empty: all but ids and covariates.

    Returns:
      (site -> table, names of the features).

    Raises:
      ValueError: one sentence that names the file, and the row and the column.
    """
    sites = {path.name.removesuffix(".tsv"): path for path in paths}
    if len(sites) < 2 or len(sites) < len(paths):
        raise ValueError(
            "Expected tables of at least two sites with names of their own, got"
            f" {', '.join(map(str, paths))}."
        )
    rows = {name: read_table(path) for name, path in sites.items()}
    header = {name: list(r[0]) if r else [] for name, r in rows.items()}
    first = next(iter(header))
    wanted = list(features) or [c for c in header[first] if c not in (KEY, *covariates)]
    if len(wanted) < 2:
        raise ValueError(
            f"{sites[first]}: expected at least two features, since each is drawn towards what all"
            f" have in common, got {len(wanted)}. Name them with --features."
        )
    for name, path in sites.items():
        absent = [c for c in (KEY, *covariates, *wanted) if c not in header[name]]
        if absent:
            raise ValueError(
                f"{path}: expected a column {absent[0]!r}, as"
                f" {'every table needs' if absent[0] == KEY else 'at the other sites'}, got:"
                f" {', '.join(header[name])[:300] or 'no row'}."
            )
    return {n: _parse(sites[n], rows[n], covariates, wanted) for n in sites}, wanted


def read_site(
    path: Path, covariates: Sequence[str], features: Sequence[str]
) -> tuple[Table, list[str]]:
    """Reads the table of one site, as `read_sites` reads several.

    Args:
      path: of a TSV file.
      covariates: columns whose effect is kept.
      features: columns to read; empty: all but ids and covariates.

    Returns:
      (table, names of the features).

    Raises:
      ValueError: one sentence that names the file, and the row and the column.
    """
    rows = read_table(path)
    header = list(rows[0]) if rows else []
    wanted = list(features) or [c for c in header if c not in (KEY, *covariates)]
    absent = [c for c in (KEY, *covariates, *wanted) if c not in header]
    if absent:
        raise ValueError(
            f"{path}: expected a column {absent[0]!r}, got: {', '.join(header)[:300] or 'no row'}."
        )
    return _parse(path, rows, covariates, wanted), wanted


def _parse(
    path: Path, rows: list[Row], covariates: Sequence[str], features: Sequence[str]
) -> Table:
    subjects = tuple(row[KEY] for row in rows)
    twice = sorted({s for s in subjects if subjects.count(s) > 1})
    if twice:
        raise ValueError(f"{path}: expected every person once, got {twice[0]} more than once.")
    values = [
        np.asarray([[_number(path, row, c) for c in columns] for row in rows], np.float64)
        for columns in (covariates, features)
    ]
    return Table(path, rows, subjects, values[0].reshape(len(rows), -1), values[1])


def _number(path: Path, row: Row, column: str) -> float:
    try:
        value = parse_value(row[column], column)
    except ValueError:
        value = None
    if value is None:
        got = "n/a" if is_missing(row[column]) else repr(row[column][:40])
        raise ValueError(
            f"{path}: {row[KEY]}: expected a number in the column {column!r}, got {got}. Leave the"
            " person or the column out."
        )
    return value


def require_enough(
    site: str, table: Table, train: np.ndarray, features: Sequence[str], fewest: int = FEWEST
) -> None:
    """Refuses a site that cannot be harmonised.

    Args:
      site: its name.
      table: its people.
      train: who trains [n].
      features: names.
      fewest: training people, at least and beyond one for each covariate.

    Raises:
      ValueError: for too few training people, or a feature that is the same for all of them.
    """
    needed = fewest + table.covariates.shape[1]
    if train.sum() < needed:
        raise ValueError(
            f"{table.path}: expected at least {needed} training people at {site}, got"
            f" {train.sum()} of {len(train)}: fewer cannot be harmonised, and their sums would tell"
            " of single people. Leave the site out."
        )
    [same] = np.nonzero(np.ptp(table.features[train], axis=0) == 0)
    if same.size:
        raise ValueError(
            f"{table.path}: expected features that vary at every site, got one number for all"
            f" {train.sum()} training people in the column {features[same[0]]!r}. Leave the column"
            " out at all sites, by --features or by removing it."
        )


def write_features(
    path: Path, table: Table, features: Sequence[str], values: Float[np.ndarray, "n p"]
) -> None:
    """Writes a table with other numbers in the columns of features.

    Args:
      path: to write.
      table: that was read.
      features: names.
      values: their numbers.
    """
    changed = [
        row | {name: f"{v:.9g}" for name, v in zip(features, line)}
        for row, line in zip(table.rows, values)
    ]
    columns = list(table.rows[0])
    write_table(path, columns, ([row[c] for c in columns] for row in changed))
