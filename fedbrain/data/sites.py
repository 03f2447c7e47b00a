"""From a source to labelled scans and a report: a BIDS tree, a file of arrays, or a synthetic
hospital.
"""

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from fedbrain.data.bids import Scan, find_scans, is_synthetic, one_per_session
from fedbrain.data.conform import conform
from fedbrain.data.dataset import Preparation, Scans, SiteLoader, Volumes
from fedbrain.data.labels import (
    Contradiction,
    Lookup,
    known_columns,
    make_lookup,
    rows_without_scan,
)
from fedbrain.data.nifti import Volume
from fedbrain.data.prepare import prepare, prepare_followers
from fedbrain.data.scan_report import Report
from fedbrain.data.synthetic.site import synthetic
from fedbrain.data.tables import parse_number, parse_sex, read_table


def bids(
    root: str,
    label: str = "age",
    pattern: str = "T1w",
    pipeline: str = "",
    columns: Mapping[str, str] | None = None,
) -> SiteLoader:
    """Scans of a BIDS tree with a label.

    Args:
      root: folder of the data set.
      label: a column, or `table:column` (see `labels`).
      pattern: suffix, or entities and suffix, of the images of the first modality; the suffix of
        another takes its place.
      pipeline: reads images from `derivatives/<pipeline>`; tables are always those of the raw tree.
      columns: what covariates, norms and descriptions call a column -> the column here, like a
        label.
    """

    def load(name: str, preparation: Preparation) -> tuple[Scans, Report]:
        if not root:
            raise ValueError(
                f"sites.{name}: expected the folder of a BIDS tree, got ''. Set"
                f" --config.sites.{name}=\"bids('FOLDER')\"."
            )
        scans, report = labelled_scans(
            Path(root), name, label=label, pattern=pattern, pipeline=pipeline
        )
        known: dict[Scan, float | None] = {s: v for s, v in scans.items() if v is not None}
        return prepare_site(
            Path(root),
            known,
            report,
            preparation,
            pattern=pattern,
            pipeline=pipeline,
            columns=columns,
        )

    return load


def prepare_site(
    root: Path,
    labels: dict[Scan, float | None],
    report: Report,
    preparation: Preparation,
    *,
    pattern: str,
    pipeline: str,
    columns: Mapping[str, str] | None,
) -> tuple[Scans, Report]:
    """Prepares the scans of a tree in all modalities and joins them with labels, NaN where there is
    none, and columns.
    """
    recipe, cache, modalities = preparation
    prepared = prepare(list(labels), root, recipe=recipe, cache=cache, report=report)
    scans = list(prepared)
    files: list[dict[Scan, Path]] = [prepared]
    for modality in modalities[1:]:
        other = pattern.removesuffix(modalities[0]) + modality
        found = {
            scan.id: scan.path
            for scan in one_per_session(find_scans(root, other, pipeline=pipeline))[0]
        }
        followers = {scan: found[scan.id] for scan in scans if scan.id in found}
        files.append(
            prepare_followers(followers, modality, root, recipe=recipe, cache=cache, report=report)
        )
        for scan in scans:
            if scan.id not in found:
                report.note(
                    f"without {modality}", f"{scan.id} has no {other} image; it is used without."
                )
    report.kept = len(scans)
    target = np.asarray([math.nan if labels[s] is None else labels[s] for s in scans], np.float32)
    volumes = Volumes([[of.get(scan) for of in files] for scan in scans], recipe.shape)
    values = {
        name: read_column(root, scans, column, report) for name, column in (columns or {}).items()
    }
    return (
        Scans(tuple(s.id for s in scans), tuple(s.subject for s in scans), target, volumes, values),
        report,
    )


def labelled_scans(
    root: Path, name: str, *, label: str, pattern: str, pipeline: str, keep_unlabelled: bool = False
) -> tuple[dict[Scan, float | None], Report]:
    """Scans of a BIDS tree with their labels; those that cannot be used are in the report with the
    reason.
    """
    report = Report(name, synthetic=is_synthetic(root))
    found = find_scans(root, pattern, pipeline=pipeline)
    report.found = len(found)
    chosen, others = one_per_session(found)
    for scan in others:
        report.leave_out("another image of the same session was chosen", str(scan.path))
    if not keep_unlabelled:
        require_column(root, label)
    lookup = make_lookup(root, label)
    labels: dict[Scan, float | None] = {}
    for scan in chosen:
        value, problem = _cell(scan, lookup, label, "label")
        if value is not None or keep_unlabelled:
            labels[scan] = value
        if problem and not keep_unlabelled:
            report.leave_out(*problem)
        elif problem and problem[0] != "no label":
            report.note(*problem)
    for subject in rows_without_scan(root, found):
        report.note(
            "row without an image", f"{subject} is in participants.tsv and has no {pattern} image."
        )
    return labels, report


def require_column(root: Path, column: str) -> None:
    """Raises ValueError with the columns that there are, when no table has this one."""
    name, have = column.rpartition(":")[2], sorted(known_columns(root))
    if name not in have:
        raise ValueError(
            f"{root}: expected a column {name!r} in its tables, got:"
            f" {', '.join(have) or 'no table at all'}."
        )


def read_column(root: Path, scans: list[Scan], column: str, report: Report) -> np.ndarray:
    """The column's numbers [n] float32, 1 for male and 0 for female; NaN where unknown, with a note
    where unreadable.
    """
    require_column(root, column)
    lookup, name = make_lookup(root, column), column.rpartition(":")[2]
    values = []
    for scan in scans:
        value, problem = _cell(scan, lookup, column, name)
        values.append(math.nan if value is None else value)
        if problem:
            report.note(*problem)
    return np.asarray(values, np.float32)


def _cell(
    scan: Scan, lookup: Lookup, column: str, what: str
) -> tuple[float | None, tuple[str, str] | None]:
    """(value, (reason, sentence) when there is none)."""
    try:
        text = lookup(scan)
        value = None if text is None else parse_sex(text)
        value = parse_number(text) if value is None and text is not None else value
    except Contradiction as error:
        return None, (f"contradictory {what}s", f"{scan.path}: {error}.")
    except ValueError as error:
        return None, (f"unreadable {what}", f"{scan.path}: {column}: {error}.")
    if value is None:
        return None, (f"no {what}", f"{scan.path}: no table has a value of {column} for {scan.id}.")
    return value, None


def arrays(
    path: str, label: str = "age", voxel_size_mm: float = 3.0, table: str = ""
) -> SiteLoader:
    """A `.npz` of brain-extracted volumes: `image` [n x y z], `participant_id` [n], and numbers [n]
    under other names.

    Volumes are in RAS order with cubic voxels of `voxel_size_mm`, and 0 outside the brain.

    Args:
      path: of the file.
      label: an array of the file, or a column of the table.
      voxel_size_mm: of the images.
      table: a TSV file with `participant_id` and further columns.
    """

    def load(name: str, preparation: Preparation) -> tuple[Scans, Report]:
        with np.load(path, allow_pickle=False) as data:
            missing = {"image", "participant_id"} - set(data.files)
            if missing:
                raise ValueError(
                    f"{path}: expected an array {sorted(missing)[0]!r}, got {sorted(data.files)}."
                )
            image, ids = data["image"], data["participant_id"].tolist()
            columns = {
                k: data[k].astype(np.float32)
                for k in data.files
                if data[k].shape == (len(ids),) and k[-3:] != "_id"
            }
        rows = {row["participant_id"]: row for row in read_table(Path(table))} if table else {}
        for column in {k for row in rows.values() for k in row} - {"participant_id"}:
            cells = [parse_number(rows.get(i, {}).get(column, "")) for i in ids]
            columns[column] = np.asarray([math.nan if v is None else v for v in cells], np.float32)
        if label not in columns:
            raise ValueError(
                f"{path}: expected an array or a column {label!r}, got {sorted(columns)}."
            )
        report = Report(name, found=len(ids))
        kept = np.flatnonzero(np.isfinite(columns[label])).tolist()
        for i in sorted(set(range(len(ids))) - set(kept)):
            report.leave_out("no label", f"{ids[i]}: {label} is not known.")
        report.kept = len(kept)
        size = (voxel_size_mm, voxel_size_mm, voxel_size_mm)
        affine = np.diag([*size, 1.0])
        volumes = []
        for i in kept:
            data = image[i].astype(np.float32)
            volume = conform(Volume(data, affine, size, 0), preparation.recipe, data > 0)
            volumes.append(
                np.stack(
                    [volume, *[np.zeros_like(volume)] * (len(preparation.modalities) - 1)], axis=-1
                )
            )
        chosen = {k: v[kept] for k, v in columns.items()}
        names = tuple(ids[i] for i in kept)
        return Scans(names, names, chosen[label], volumes, chosen), report

    return load


SITES = {"bids": bids, "arrays": arrays, "synthetic": synthetic}
