"""Joins scans with a column of the BIDS tables.

Where a column is looked for, the first table that has a value wins and another table that
contradicts it is an error: phenotype/*.tsv, sub-*_sessions.tsv, *_scans.tsv, participants.tsv.
`table:column` names one table and ends the search (see `columns`).
"""

import os
import re
import unicodedata
from collections.abc import Callable
from pathlib import Path

from fedbrain.data.bids import Scan, parse_name
from fedbrain.data.columns import Column, Tables, path_of, read_tables, require_key, resolve
from fedbrain.data.tables import Row, is_missing, read_table, same_value

Lookup = Callable[[Scan], str | None]


class Contradiction(ValueError):
    """Two rows or tables give one scan different values."""


def _cell(rows: list[Row], column: str, where: Path) -> str | None:
    """The one value that the rows agree on; missing cells do not vote."""
    values = sorted({row[column] for row in rows if not is_missing(row.get(column, ""))})
    if any(not same_value(values[0], value) for value in values[1:]):
        raise Contradiction(f"{where.name} gives {column} the values {', '.join(values)}")
    return values[0] if values else None


def _subject(row: Row) -> str:
    name = row.get("participant_id", "")
    return name if not name or name.startswith("sub-") else f"sub-{name}"


def _session(row: Row) -> str:
    name = row.get("session_id", "")
    return name if not name or name.startswith("ses-") else f"ses-{name}"


def _by_subject(path: Path, column: str) -> Lookup:
    """A table of participants, with or without a session column."""
    rows = read_table(path)
    require_key(path, rows[0] if rows else ["participant_id"], "participant_id")
    index: dict[str, list[Row]] = {}
    for row in rows:
        index.setdefault(_subject(row), []).append(row)

    def lookup(scan: Scan) -> str | None:
        of_session = [
            r
            for r in index.get(scan.subject, ())
            if not _session(r) or not scan.session or _session(r) == scan.session
        ]
        return _cell(of_session, column, path)

    return lookup


def _sessions(root: Path, column: str) -> Lookup:
    everybody = path_of(root, "sessions")
    common = _by_subject(everybody, column) if everybody.is_file() else lambda scan: None

    def lookup(scan: Scan) -> str | None:
        path = root / scan.subject / f"{scan.subject}_sessions.tsv"
        if not os.path.lexists(path):
            return common(scan)
        rows = read_table(path)
        if rows and scan.session:
            require_key(path, rows[0], "session_id")
        return _cell([r for r in rows if _session(r) == scan.session], column, path)

    return lookup


def _scans(root: Path, column: str) -> Lookup:
    def lookup(scan: Scan) -> str | None:
        for folder, name in (
            (root / scan.subject / scan.session, scan.id),
            (root / scan.subject, scan.subject),
        ):
            path = folder / f"{name}_scans.tsv"
            if os.path.lexists(path):
                rows = read_table(path)
                if rows:
                    require_key(path, rows[0], "filename")
                return _cell(_rows_of_file(rows, scan), column, path)
        return None

    return lookup


def _rows_of_file(rows: list[Row], scan: Scan) -> list[Row]:
    """The rows of an image; those of the raw image from which it was derived when it has none."""
    names = [row["filename"].replace("\\", "/").rpartition("/")[2] for row in rows]
    same = [row for row, name in zip(rows, names) if name == scan.path.name]
    if same:
        return same
    entities, suffix, _ = parse_name(scan.path.name)
    return [
        row
        for row, name in zip(rows, names)
        for fields, kind, _ in [parse_name(name)]
        if kind == suffix and fields.items() <= entities.items()
    ]


def make_lookup(tables: Tables | Path, column: Column | str) -> Lookup:
    """How a scan's label is found.

    Args:
      tables: of the raw BIDS tree, or its root (tables of derivatives are not read).
      column: `column` or `table:column`, or what it resolves to.

    Returns:
      A function from scan to the cell's text; None when no table has a row with a value. It raises
      `Contradiction` when two sources disagree.
    """
    tables = read_tables(tables) if isinstance(tables, Path) else tables
    column = resolve(tables, column) if isinstance(column, str) else column
    root, name = tables.root, column.name
    readers: dict[str, Callable[[Path, str], Lookup]] = {"sessions": _sessions, "scans": _scans}
    lookups = {
        table: readers[table](root, name)
        if table in readers
        else _by_subject(path_of(root, table), name)
        for table in column.tables
    }

    def lookup(scan: Scan) -> str | None:
        values = {t: value for t, get in lookups.items() if (value := get(scan)) is not None}
        first = next(iter(values.values()), None)
        if any(first is not None and not same_value(first, value) for value in values.values()):
            said = "; ".join(f"{table} says {value}" for table, value in values.items())
            raise Contradiction(
                f"{said}. Choose one as table:{name}, for instance {next(iter(values))}:{name}"
            )
        return first

    return lookup


def rows_without_scan(root: Path, scans: list[Scan]) -> list[str]:
    """Participants that participants.tsv lists and no image shows, as images would name them; one
    that begins with `SUB-` or the like as it is written.
    """
    listed, shown = listed_subjects(root), {scan.subject for scan in scans}
    written = {
        name: raw if raw.lower().startswith("sub-") else name for name, raw in listed.items()
    }
    return sorted(written[name] for name in set(listed) - shown)


def listed_subjects(root: Path) -> dict[str, str]:
    """Subject -> its id as participants.tsv writes it; empty when the table cannot be read."""
    path = path_of(root, "participants")
    try:
        rows = read_table(path) if path.is_file() else []
    except ValueError:
        return {}
    return {_subject(row): row["participant_id"] for row in rows if row.get("participant_id")}


def similar_id(subject: str, listed: dict[str, str]) -> str:
    """An id of the table that differs from the subject only in zeros, capitals, signs or in how its
    letters are composed; empty when there is none.

    >>> similar_id("sub-01", {"sub-1": "sub-1", "sub-Sub-02": "Sub-02"})
    'sub-1'
    """
    alike = [
        raw for name, raw in listed.items() if name != subject and _bare(raw) == _bare(subject)
    ]
    return alike[0] if len(alike) == 1 else ""


def _bare(name: str) -> str:
    name = unicodedata.normalize("NFKC", name).lower()
    bare = re.sub(r"\.0$", "", name).removeprefix("sub")
    return re.sub(r"(?<!\d)0+(?=\d)", "", re.sub(r"[\W_]", "", bare))
