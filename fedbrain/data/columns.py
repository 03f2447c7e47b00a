"""Which columns the tables of a BIDS tree have, and which of them a configuration means.

A column is named by itself (`age`), or with its table: `participants:age`, `sessions:age`,
`scans:age`, `phenotype/sdmt:score`, or `sdmt:score` for short. Tables of the root with other names
(`demographics.tsv`) are tables too when they have a column `participant_id`.
"""

import difflib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from fedbrain.data.tables import read_header

PER_SUBJECT = {
    "sessions": ("sub-*/*_sessions.tsv",),
    "scans": ("sub-*/*_scans.tsv", "sub-*/ses-*/*_scans.tsv"),
}
OTHER_TABLES = (".tsv", ".csv", ".xlsx", ".xls", ".ods", ".tsv.gz")  # in any letters
NO_TABLES = ("participants.tsv", "sessions.tsv", "samples.tsv", "scans.tsv")  # of the root


class Tables(NamedTuple):
    """The tables of a tree."""

    root: Path
    columns: dict[str, list[str]]  # table -> its columns, in the order in which tables are searched
    unreadable: dict[Path, str]  # tables that cannot be used -> why


class Column(NamedTuple):
    """A column as it is written in the tables."""

    name: str
    tables: tuple[str, ...]  # that have it
    notes: tuple[str, ...]  # what is worth knowing about the choice


def read_tables(root: Path) -> Tables:
    """Reads the headers of all tables; the order is phenotype, others of the root, sessions, scans,
    participants.
    """
    columns: dict[str, list[str]] = {}
    unreadable: dict[Path, str] = {}
    for name, path in _tables_of_everybody(root):
        try:
            header = read_header(path)
            require_key(path, header, "participant_id")
        except ValueError as error:
            unreadable[path] = str(error)
            continue
        columns[name] = header
    for name, patterns in PER_SUBJECT.items():
        for path in sorted(p for pattern in patterns for p in root.glob(pattern)):
            try:
                header = read_header(path)
            except ValueError as error:
                unreadable[path] = str(error)
                continue
            have = columns.setdefault(name, [])
            have.extend(c for c in header if c not in have)
    last = {"sessions": 1, "scans": 2, "participants": 3}
    order = sorted(columns, key=lambda table: last.get(table, 0))
    return Tables(root, {table: columns[table] for table in order}, unreadable)


def require_key(path: Path, header: Iterable[str], key: str) -> None:
    """Raises ValueError when a table lacks the column that says whose row it is."""
    if key not in header:
        raise ValueError(
            f"{path}: expected a column {key!r}, got no column {key} but: {', '.join(header)}."
            " Rename the column of ids."
        )


def path_of(root: Path, table: str) -> Path:
    """The file of a table with one row for each participant."""
    return root / f"{table}.tsv"


def _tables_of_everybody(root: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted((root / "phenotype").glob("*.tsv")):
        yield f"phenotype/{path.stem}", path
    for path in sorted(root.glob("*.tsv")):
        if path.name not in NO_TABLES and not path.name.startswith("."):
            yield path.stem, path
    for name in ("sessions", "participants"):
        if os.path.lexists(path_of(root, name)):
            yield name, path_of(root, name)


def resolve(tables: Tables, spec: str) -> Column:
    """Finds what `column` or `table:column` means.

    Names are taken as they are written; otherwise the only one that differs in capitals is taken,
    with a note.

    Raises:
      ValueError: with the nearest names, when there is no such table or column.
    """
    everything = [column for columns in tables.columns.values() for column in columns]
    table, _, name = ("", "", spec) if spec in everything else spec.rpartition(":")
    searched = _searched(tables, table)
    have = list(dict.fromkeys(column for t in searched for column in tables.columns[t]))
    notes = []
    if name not in have:
        alike = [column for column in have if column.lower() == name.lower()]
        if len(alike) > 1:
            raise ValueError(
                f"{tables.root}: expected one column {name!r}, got {' and '.join(alike)}. Write it"
                " as the table does."
            )
        if not alike:
            raise ValueError(_no_column(tables, searched if table else [], name, have))
        notes.append(f"{spec!r} is read from the column {alike[0]!r}.")
        name = alike[0]
    of_everybody = (tables.root, tables.root / "phenotype")
    notes.extend(
        f"not used: {sentence}"
        for path, sentence in tables.unreadable.items()
        if not table and path.parent in of_everybody
    )
    return Column(name, tuple(t for t in searched if name in tables.columns[t]), tuple(notes))


def _searched(tables: Tables, table: str) -> list[str]:
    wanted = table.removesuffix(".tsv")
    known = list(tables.columns)
    if not wanted:
        return known
    if wanted == "phenotype":
        return [t for t in known if t.startswith("phenotype/")]
    for same in (str, str.lower):
        for full in (wanted, f"phenotype/{wanted}"):
            alike = [t for t in known if same(t) == same(full)]
            if len(alike) == 1:
                return alike
    for path, sentence in tables.unreadable.items():
        if path.stem.lower() == wanted.rpartition("/")[2].lower():
            raise ValueError(sentence)
    short = {t.rpartition("/")[2].lower(): t for t in known} | {t.lower(): t for t in known}
    near = difflib.get_close_matches(wanted.lower(), short, 1)
    raise ValueError(
        f"{tables.root}: expected a table {table!r}, got: {', '.join(known) or 'no table at all'}."
        + (f" Did you mean {short[near[0]]!r}?" if near else "")
    )


def _not_read(root: Path) -> list[str]:
    """Files that may be tables, and are of another kind or in another folder."""
    paths = [
        *root.iterdir(),
        *(p for f in root.glob("[Pp][Hh][Ee][Nn][Oo]*") for p in f.rglob("*")),
    ]
    read = {root, root / "phenotype"}
    return sorted(
        path.relative_to(root).as_posix()
        for path in paths
        if path.name.lower().endswith(OTHER_TABLES)
        and not (path.name.endswith(".tsv") and path.parent in read)
    )


def _no_column(tables: Tables, searched: list[str], name: str, have: list[str]) -> str:
    if tables.unreadable and not searched:
        return next(iter(tables.unreadable.values()))
    where = f"in {', '.join(searched)}" if searched else "in its tables"
    listed = ", ".join(sorted(have)) or "no table at all"
    lower = {column.lower(): column for column in reversed(have)}
    near = [lower[c] for c in difflib.get_close_matches(name.lower(), lower, 3)]
    near = [f"{searched[0]}:{c}" if len(searched) == 1 else c for c in near]
    for t, columns in tables.columns.items():
        near.extend(f"{t}:{c}" for c in columns if searched and c.lower() == name.lower())
    hint = f" Did you mean {' or '.join(map(repr, near[:3]))}?" if near else ""
    if not hint and (other := _not_read(tables.root)):
        hint = (
            f" Not read: {', '.join(other)}. Tables are .tsv files, of the root and of phenotype/."
        )
    return f"{tables.root}: expected a column {name!r} {where}, got: {listed}.{hint}"
