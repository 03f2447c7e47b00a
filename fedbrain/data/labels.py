"""Joins scans with a label column of the BIDS tables.

Where a column is looked for, the first table that has a value wins and another table that
contradicts it is an error: phenotype/*.tsv, sub-*_sessions.tsv, *_scans.tsv, participants.tsv.
`table:column` names one table and ends the search: `participants:age`, `sessions:age`, `scans:age`,
`phenotype/sdmt:sdmt_total`.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

from fedbrain.data.bids import Scan
from fedbrain.data.tables import Row, read_table

ORDER = ("phenotype", "sessions", "scans", "participants")

Lookup = Callable[[Scan], str | None]


class Contradiction(ValueError):
    """Two rows or tables give one scan different values."""


def _cell(rows: list[Row], column: str, where: Path) -> str | None:
    """The one value that the rows agree on; missing cells do not vote."""
    values = {row[column] for row in rows if row.get(column, "").lower() not in ("", "n/a")}
    if len(values) > 1:
        raise Contradiction(f"{where.name} gives {column} the values {', '.join(sorted(values))}")
    return values.pop() if values else None


def _subject(row: Row) -> str:
    name = row.get("participant_id", "")
    return name if name.startswith("sub-") else f"sub-{name}"


def _session(row: Row) -> str:
    name = row.get("session_id", "")
    return name if not name or name.startswith("ses-") else f"ses-{name}"


def _by_subject(path: Path, column: str) -> Lookup:
    """A table of participants, with or without a session column."""
    index: dict[str, list[Row]] = {}
    for row in read_table(path):
        index.setdefault(_subject(row), []).append(row)

    def lookup(scan: Scan) -> str | None:
        rows = [
            r
            for r in index.get(scan.subject, ())
            if not _session(r) or not scan.session or _session(r) == scan.session
        ]
        return _cell(rows, column, path)

    return lookup


def _sessions(root: Path, column: str) -> Lookup:
    def lookup(scan: Scan) -> str | None:
        path = root / scan.subject / f"{scan.subject}_sessions.tsv"
        if not path.is_file():
            return None
        return _cell([r for r in read_table(path) if _session(r) == scan.session], column, path)

    return lookup


def _scans(root: Path, column: str) -> Lookup:
    def lookup(scan: Scan) -> str | None:
        folder = root / scan.subject / scan.session
        path = folder / f"{scan.id}_scans.tsv"
        if not path.is_file():
            return None
        name = f"{scan.path.parent.name}/{scan.path.name}"
        return _cell([r for r in read_table(path) if r.get("filename") == name], column, path)

    return lookup


def _tables(root: Path, column: str, only: str) -> Iterator[tuple[str, Lookup]]:
    for name in ORDER:
        if name == "phenotype":
            paths = sorted((root / "phenotype").glob("*.tsv"))
        else:
            paths = [root / "participants.tsv"] if name == "participants" else []
        for path in paths:
            table = f"phenotype/{path.stem}" if name == "phenotype" else name
            if only in ("", name, table) and path.is_file() and column in _header(path):
                yield table, _by_subject(path, column)
        if name == "sessions" and only in ("", name):
            yield name, _sessions(root, column)
        if name == "scans" and only in ("", name):
            yield name, _scans(root, column)


def _header(path: Path) -> list[str]:
    with path.open(encoding="utf-8-sig") as file:
        return [cell.strip() for cell in file.readline().split("\t")]


def make_lookup(root: Path, column: str) -> Lookup:
    """How a scan's label is found.

    Args:
      root: of the raw BIDS tree (tables of derivatives are not read).
      column: a column name, or `table:column`.

    Returns:
      A function from scan to the cell's text; None when no table has a row with a value. It raises
      `Contradiction` when two sources disagree.
    """
    only, _, name = column.rpartition(":")
    tables = list(_tables(root, name, only))

    def lookup(scan: Scan) -> str | None:
        found = [(table, value) for table, get in tables if (value := get(scan)) is not None]
        if len({value for _, value in found}) > 1:
            told = "; ".join(f"{table} says {value}" for table, value in found)
            raise Contradiction(f"{told}. Choose one as table:{name}")
        return found[0][1] if found else None

    return lookup


def known_columns(root: Path) -> set[str]:
    """All columns of the tables that labels are looked for in."""
    patterns = (
        "phenotype/*.tsv",
        "sub-*/*_sessions.tsv",
        "sub-*/*_scans.tsv",
        "sub-*/ses-*/*_scans.tsv",
        "participants.tsv",
    )
    return {
        column
        for pattern in patterns
        for path in root.glob(pattern)
        for column in _header(path)
        if column
    }


def rows_without_scan(root: Path, scans: list[Scan]) -> list[str]:
    """Participants that participants.tsv lists and no image shows."""
    path = root / "participants.tsv"
    listed = {_subject(row) for row in read_table(path)} if path.is_file() else set()
    return sorted(listed - {scan.subject for scan in scans})
