"""The scans of a BIDS tree with their labels, and a report on those that cannot be used."""

import math
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from fedbrain.data.bids import Listing, Scan, is_synthetic, list_images, suffixes
from fedbrain.data.choice import one_per_session, select
from fedbrain.data.class_labels import parse_label
from fedbrain.data.columns import Tables, read_tables, resolve
from fedbrain.data.decisions import FILE, Quality, read_decisions
from fedbrain.data.labels import (
    Contradiction,
    Lookup,
    listed_subjects,
    make_lookup,
    rows_without_scan,
    similar_id,
)
from fedbrain.data.scan_report import Report
from fedbrain.data.tables import SEX_COLUMNS
from fedbrain.data.words import in_words, levels_of, numbers_of_sexes

Labels = dict[Scan, float | None]
# Numbers that tables hold in the place of a missing value; noted, since a score may be one of them.
CODES = {-9, -99, -999, -9999, 777, 888, 999, 9999}


def labelled_scans(
    root: Path,
    name: str,
    *,
    label: str,
    pattern: str,
    pipeline: str,
    keep_unlabelled: bool = False,
    include: str | Iterable[str] = (),
    exclude: str | Iterable[str] = (),
    sexes: Collection[str] = (),
    classes: Sequence[str] = (),
) -> tuple[Labels, Report]:
    """Scans of a BIDS tree with their labels; those that cannot be used are in the report with the
    reason.

    Args:
      root: of the data set.
      name: of the site.
      label: a column, or `table:column` (see `columns`).
      pattern: suffix, or entities and suffix, of the images.
      pipeline: folder in `derivatives/` whose images are used; empty: the raw ones.
      keep_unlabelled: scans without a label are kept too, with None.
      include: subjects and sessions to use (see `choice.select`).
      exclude: subjects and sessions to leave out.
      sexes: columns beside `sex` and `gender` in which M and F are sexes.
      classes: names of the label's classes; empty: the label is a number.
    """
    report = Report(name, synthetic=is_synthetic(root))
    listing = list_images(root, pattern, pipeline=pipeline)
    quality = read_decisions(root / "derivatives" / pipeline) if pipeline else {}
    chosen = _choose(listing, report, include, exclude, quality)
    if not report.found:
        kinds = ", ".join(suffixes(root, pipeline=pipeline)) or "none"
        report.note(
            "no such image", f"expected images whose names end with {pattern}, got {kinds}."
        )
    tables = read_tables(root)
    labels: Labels = {}
    try:
        column = resolve(tables, label)
        lookup, levels = make_lookup(tables, column), levels_of(root, column)
    except ValueError as error:
        if not keep_unlabelled:
            raise
        report.note("no label column", str(error))
        return dict.fromkeys(chosen, None), report
    for sentence in column.notes:
        report.note("about the label column", sentence)
    listed = listed_subjects(root)
    for scan in chosen:
        kind = _kind(column.name, label, sexes)
        value, problem = _cell(scan, lookup, label, kind, "label", levels, classes)
        if value is not None or keep_unlabelled:
            labels[scan] = value
        if value in CODES and not classes:
            report.note(
                "label that may stand for a missing value",
                f"{scan.path}: {label} is {value:g}. Write n/a where a value is missing.",
            )
        if problem and not keep_unlabelled:
            report.leave_out(problem[0], problem[1] + _hint(scan, problem[0], listed))
        elif problem and problem[0] != "no label":
            report.note(*problem)
    for subject in rows_without_scan(root, [*listing.scans, *listing.unread]):
        if subject not in _closed_subjects(listing):
            report.note(
                "row without an image",
                f"{subject} is in participants.tsv and has no {pattern} image.",
            )
    return labels, report


def _choose(
    listing: Listing,
    report: Report,
    include: str | Iterable[str],
    exclude: str | Iterable[str],
    quality: Mapping[str, Quality],
) -> list[Scan]:
    """The images to use; all others go into the report."""
    everything = [*listing.scans, *listing.unread]
    report.found = len(everything) + len(listing.closed)
    for folder, reason in listing.closed.items():
        report.leave_out("folder that cannot be opened", f"{folder}: {reason}.")
    wanted, left_out = select(everything, include, exclude, _closed_subjects(listing))
    for scan, reason in left_out.items():
        report.leave_out(reason, f"{scan.path}: {scan.id} is {reason}.")
    fit = []
    for scan in wanted:
        problem = _unfit(scan, listing.unread)
        if problem:
            report.leave_out(*problem)
            continue
        fit.append(scan)
        if f"sub-{scan.subject[4:]}" not in scan.path.parts:
            report.note("file in a strange folder", f"{scan.path} counts for {scan.subject}.")
    chosen, others = one_per_session(fit)
    for scan in others:
        report.leave_out("another image of the same session was chosen", str(scan.path))
    return _passed(chosen, report, quality)


def _passed(scans: list[Scan], report: Report, quality: Mapping[str, Quality]) -> list[Scan]:
    """Without the scans that a table on their quality leaves out."""
    passed = []
    for scan in scans:
        known = quality.get(scan.id)
        if known is not None and known.excluded:
            report.leave_out(f"excluded in {FILE}", f"{scan.path}: {scan.id} {known.excluded}.")
            continue
        passed.append(scan)
        if known is not None and known.undecided:
            text = f"{scan.path}: look at it, and write keep or exclude into {FILE}."
            report.note("quality not decided yet", text)
    return passed


def _unfit(scan: Scan, unread: Collection[Scan]) -> tuple[str, str] | None:
    """(reason, sentence) for an image that is not used because of its name."""
    shown = os.fsencode(scan.path).decode(errors="backslashreplace")
    if scan in unread:
        return "format that is not read", f"{shown}: expected .nii or .nii.gz. Convert the image."
    if shown != str(scan.path):
        return "name that is not UTF-8", f"{shown}: expected a name in UTF-8. Rename the file."
    return None


def _closed_subjects(listing: Listing) -> set[str]:
    return {part for folder in listing.closed for part in folder.parts if part.startswith("sub-")}


def read_column(
    tables: Tables, scans: list[Scan], meaning: str, spec: str, report: Report
) -> np.ndarray:
    """The column's numbers [n] float32, 1 for male and 0 for female in a column of sexes; NaN where
    unknown, with a note where unreadable.

    Args:
      tables: of the tree.
      scans: whose values are wanted.
      meaning: what covariates and descriptions call the column.
      spec: `column` or `table:column`.
      report: gets the notes.
    """
    column = resolve(tables, spec)
    for sentence in column.notes:
        report.note(f"about the column {meaning}", sentence)
    lookup, levels, values = make_lookup(tables, column), levels_of(tables.root, column), []
    kind = _kind(column.name, spec, (spec,) if meaning.lower() in SEX_COLUMNS else ())
    for scan in scans:
        value, problem = _cell(scan, lookup, spec, kind, column.name, levels)
        values.append(math.nan if value is None else value)
        if problem:
            report.note(*problem)
    if kind in SEX_COLUMNS:
        texts = (text for text in _texts(scans, lookup) if text.strip() not in levels)
        for reason, sentence in numbers_of_sexes(texts, values):
            report.note(reason, f"{tables.root}: {column.name} {sentence}")
    return np.asarray(values, np.float32)


def _texts(scans: list[Scan], lookup: Lookup) -> Iterator[str]:
    for scan in scans:
        with suppress(ValueError, OSError):  # told by _cell
            yield lookup(scan) or ""


def sexes_of(columns: Mapping[str, str]) -> set[str]:
    """The columns that a user maps to sex."""
    return {column for name, column in columns.items() if name.lower() in SEX_COLUMNS}


def _kind(name: str, spec: str, sexes: Collection[str]) -> str:
    bare = {sex.rpartition(":")[2].lower() for sex in sexes}
    return "sex" if spec in sexes or name.lower() in bare else name


def _cell(
    scan: Scan,
    lookup: Lookup,
    column: str,
    kind: str,
    what: str,
    levels: Mapping[str, str],
    classes: Sequence[str] = (),
) -> tuple[float | None, tuple[str, str] | None]:
    """(value, (reason, sentence) when there is none)."""
    try:
        text = lookup(scan)
        told = None if text is None else in_words(text, kind, classes, levels)
        value = None if told is None else parse_label(told, kind, classes)
    except Contradiction as error:
        return None, (f"contradictory {what}s", f"{scan.path}: {error}.")
    except ValueError as error:
        return None, (f"unreadable {what}", f"{scan.path}: {column}: {error}".rstrip(".") + ".")
    except OSError as error:
        return None, (f"unreadable {what}", f"{scan.path}: {column}: {error}.")
    if value is None:
        return None, (f"no {what}", f"{scan.path}: no table has a value of {column} for {scan.id}.")
    return value, None


def _hint(scan: Scan, reason: str, listed: dict[str, str]) -> str:
    other = similar_id(scan.subject, listed) if reason == "no label" else ""
    same = f" participants.tsv has {other!r}: if this is the same person, write {scan.subject!r}."
    return same if other else ""
