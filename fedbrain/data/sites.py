"""From a source to labelled scans and a report: a BIDS tree, a file of arrays, or the synthetic cohort in memory."""

import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from tqdm import tqdm

from fedbrain.data.bids import Scan, find_scans, is_synthetic, one_per_session
from fedbrain.data.conform import Recipe, conform
from fedbrain.data.dataset import Scans, Volumes
from fedbrain.data.labels import Contradiction, Lookup, known_columns, make_lookup, rows_without_scan
from fedbrain.data.nifti import Volume
from fedbrain.data.prepare import prepare
from fedbrain.data.report import Report
from fedbrain.data.synthetic.people import HOSPITALS, draw_person
from fedbrain.data.synthetic.render import render
from fedbrain.data.tables import parse_number

Site = Callable[[str, Recipe, Path], tuple[Scans, Report]]  # (site name, recipe, cache folder)


def bids(root: str, label: str = "age", pattern: str = "T1w", pipeline: str = "") -> Site:
    """Scans of a BIDS tree with a label.

    Args:
      root: folder of the data set.
      label: a column, or `table:column` (see `labels`).
      pattern: suffix, or entities and suffix, of the images.
      pipeline: reads images from `derivatives/<pipeline>`; tables are always those of the raw tree.
    """

    def load(name: str, recipe: Recipe, cache: Path) -> tuple[Scans, Report]:
        if not root:
            raise ValueError(
                f"sites.{name}: expected the folder of a BIDS tree, got ''. Set --config.sites.{name}=\"bids('FOLDER')\"."
            )
        scans, report = labelled_scans(Path(root), name, label=label, pattern=pattern, pipeline=pipeline)
        known: dict[Scan, float | None] = {s: v for s, v in scans.items() if v is not None}
        prepared = prepare(list(known), Path(root), recipe=recipe, cache=cache, report=report)
        return collect(prepared, known, recipe, report)

    return load


def labelled_scans(
    root: Path, name: str, *, label: str, pattern: str, pipeline: str, keep_unlabelled: bool = False
) -> tuple[dict[Scan, float | None], Report]:
    """Scans of a BIDS tree with their labels; those that cannot be used are in the report with the reason."""
    report = Report(name, synthetic=is_synthetic(root))
    found = find_scans(root, pattern, pipeline=pipeline)
    report.found = len(found)
    chosen, others = one_per_session(found)
    for scan in others:
        report.leave_out("another image of the same session was chosen", str(scan.path))
    column, have = label.rpartition(":")[2], sorted(known_columns(root))
    if not keep_unlabelled and column not in have:
        raise ValueError(f"{root}: expected a column {column!r} in its tables, got: {', '.join(have) or 'no table at all'}.")
    lookup = make_lookup(root, label)
    labels: dict[Scan, float | None] = {}
    for scan in chosen:
        value = _label(scan, lookup, label, report, quiet=keep_unlabelled)
        if value is not None or keep_unlabelled:
            labels[scan] = value
    for subject in rows_without_scan(root, found):
        report.note("row without an image", f"{subject} is in participants.tsv and has no {pattern} image.")
    return labels, report


def _label(scan: Scan, lookup: Lookup, label: str, report: Report, *, quiet: bool) -> float | None:
    try:
        text = lookup(scan)
        value = None if text is None else parse_number(text)
    except Contradiction as error:
        reason, sentence = "contradictory labels", f"{scan.path}: {error}."
    except ValueError as error:
        reason, sentence = "unreadable label", f"{scan.path}: {label}: {error}."
    else:
        if value is not None:
            return value
        reason, sentence = "no label", f"{scan.path}: no table has a value of {label} for {scan.id}."
    if not quiet:
        report.leave_out(reason, sentence)
    elif reason != "no label":
        report.note(reason, sentence)
    return None


def collect(
    prepared: dict[Scan, Path], labels: dict[Scan, float | None], recipe: Recipe, report: Report
) -> tuple[Scans, Report]:
    """Prepared scans with their labels, NaN where there is none, as one set; completes the report."""
    scans = list(prepared)
    report.kept = len(scans)
    target = np.asarray([math.nan if labels[s] is None else labels[s] for s in scans], np.float32)
    volumes = Volumes([prepared[s] for s in scans], recipe.shape)
    return Scans(tuple(s.id for s in scans), tuple(s.subject for s in scans), target, volumes), report


def arrays(path: str, label: str = "age", voxel_size_mm: float = 3.0) -> Site:
    """A `.npz` of brain-extracted volumes: `image` [n x y z], `participant_id` [n] and the label [n].

    Volumes are in RAS order with cubic voxels of `voxel_size_mm`, and 0 outside the brain.
    """

    def load(name: str, recipe: Recipe, cache: Path) -> tuple[Scans, Report]:
        del cache  # conforming from memory takes milliseconds
        with np.load(path, allow_pickle=False) as data:
            missing = {"image", label, "participant_id"} - set(data.files)
            if missing:
                raise ValueError(f"{path}: expected an array {sorted(missing)[0]!r}, got {sorted(data.files)}.")
            image, target, ids = data["image"], data[label].astype(np.float32), data["participant_id"].tolist()
        size = (voxel_size_mm, voxel_size_mm, voxel_size_mm)
        affine = np.diag([*size, 1.0])
        volumes = [conform(Volume(x.astype(np.float32), affine, size, 0), recipe, x > 0) for x in image]
        return Scans(tuple(ids), tuple(ids), target, volumes), Report(name, found=len(ids), kept=len(ids))

    return load


def synthetic(hospital: str, subjects: int = 100, seed: int = 0) -> Site:
    """People of a synthetic hospital, in memory; the label is their age in years."""
    if hospital not in HOSPITALS:
        raise ValueError(f"Expected a hospital among {', '.join(HOSPITALS)}, got {hospital!r}.")

    def load(name: str, recipe: Recipe, cache: Path) -> tuple[Scans, Report]:
        del cache  # in memory
        people = [draw_person(hospital, i, seed=seed) for i in range(subjects)]

        def scan(person) -> np.ndarray:
            data, voxel_size_mm, _ = render(person, HOSPITALS[hospital].scanner)
            volume = Volume(data, np.diag([*voxel_size_mm, 1.0]), voxel_size_mm, 0)
            return conform(volume, recipe, data > 0)

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            volumes = list(tqdm(pool.map(scan, people), f"{name}: synthesise", subjects, unit="scan", leave=False))
        ids = tuple(p.id for p in people)
        target = np.asarray([p.age_years for p in people], np.float32)
        return Scans(ids, ids, target, volumes), Report(name, found=subjects, kept=subjects, synthetic=True)

    return load


SITES = {"bids": bids, "arrays": arrays, "synthetic": synthetic}
