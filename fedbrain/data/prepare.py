"""Prepares scans once: conformed volumes on disk, keyed by a fingerprint of input file and recipe.

A prepared volume is one file of raw float32 in C order, of the recipe's shape. It is written to a
temporary name and renamed, so a killed run leaves no half file behind, and a changed scan or recipe
gets another name.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from fedbrain.data.bids import Scan, find_scans
from fedbrain.data.conform import VERSION, Recipe, conform
from fedbrain.data.nifti import Volume, read_volume
from fedbrain.data.nifti_file import ImageError, require_file
from fedbrain.data.scan_report import Report


def fingerprint(paths: list[Path], recipe: Recipe) -> str:
    """Changes with a file's place, size or time of change, with the recipe, and with the version of
    its maths.
    """
    files = [(str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns) for path in paths]
    text = json.dumps([VERSION, recipe._asdict(), files])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def prepare_scan(
    scan: Scan, mask: Path | None, *, recipe: Recipe, cache: Path, follower: Path | None = None
) -> tuple[Path, dict[str, str]]:
    """Returns (prepared file, notes by reason); makes the file when it is not there yet.

    Args:
      scan: that is prepared, or whose field of view and mask the follower gets.
      mask: of the brain, on the scan's grid.
      recipe: see `Recipe`.
      cache: folder of prepared files.
      follower: another modality of the session, prepared instead.

    Raises:
      ImageError: when the scan, its mask or the follower cannot be used.
    """
    shown = follower or scan.path
    require_file(shown)
    require_file(scan.path)
    target = (
        cache
        / f"{scan.id}_{fingerprint([p for p in (scan.path, mask, follower) if p], recipe)}.f32"
    )
    told = target.with_suffix(".json")
    if target.exists():
        return target, json.loads(told.read_text()) if told.exists() else {}
    volume = read_volume(scan.path)
    brain = None if mask is None else _read_mask(mask, volume)
    second = None if follower is None else read_volume(follower)
    try:
        data = conform(volume, recipe, brain, second)
    except ImageError as error:
        raise ImageError(f"{shown}: {error}.") from None
    notes = _notes(shown, second or volume)
    if notes:
        told.write_text(json.dumps(notes))
    save_prepared(target, data)
    return target, notes


def save_prepared(path: Path, data: np.ndarray) -> None:
    """Writes a prepared volume in one piece or not at all."""
    temporary = path.with_suffix(f".{os.getpid()}.{id(data)}.tmp")
    np.ascontiguousarray(data, np.float32).tofile(temporary)
    temporary.replace(path)


def _notes(path: Path, volume: Volume) -> dict[str, str]:
    notes = {}
    if volume.non_finite:
        notes["non-finite voxels"] = (
            f"{path}: {volume.non_finite} voxels were NaN or infinite and became 0."
        )
    if not volume.oriented:
        notes["no orientation in the header"] = (
            f"{path}: neither sform nor qform is set; LAS order was assumed."
        )
    return notes


def _read_mask(path: Path, volume: Volume) -> np.ndarray:
    labels = read_volume(path)
    if labels.data.shape != volume.data.shape or not np.allclose(
        labels.affine, volume.affine, atol=1e-2
    ):
        raise ImageError(
            f"{path}: expected the grid of its scan {volume.data.shape}, got {labels.data.shape} or"
            " another affine."
        )
    return labels.data > 0


def find_masks(root: Path, recipe: Recipe) -> dict[str, Path]:
    """Brain masks or label maps (brain = label > 0) of the derivative that a recipe names, by scan
    id.
    """
    if recipe.mask in ("foreground", "nonzero"):
        return {}
    pipeline, _, pattern = recipe.mask.partition("/")
    return {scan.id: scan.path for scan in find_scans(root, pattern, pipeline=pipeline)}


def prepare(
    scans: list[Scan], root: Path, *, recipe: Recipe, cache: Path, report: Report
) -> dict[Scan, Path]:
    """Prepares all scans on all cores, with a progress bar; what cannot be used goes into the
    report.
    """
    prepared = {}
    for scan, outcome in _on_all_cores(scans, {}, root, recipe, cache, f"{report.site}: prepare"):
        if isinstance(outcome, ImageError):
            report.leave_out("unusable image", str(outcome))
            continue
        prepared[scan], notes = outcome
        for reason, sentence in notes.items():
            report.note(reason, sentence)
    return prepared


def prepare_followers(
    followers: dict[Scan, Path],
    modality: str,
    root: Path,
    *,
    recipe: Recipe,
    cache: Path,
    report: Report,
) -> dict[Scan, Path]:
    """Prepares another modality of prepared scans; one that cannot be used counts as missing, with
    a note.
    """
    prepared = {}
    title = f"{report.site}: prepare {modality}"
    for scan, outcome in _on_all_cores(list(followers), followers, root, recipe, cache, title):
        if isinstance(outcome, ImageError):
            report.note(f"unusable {modality}, used without", str(outcome))
        else:
            prepared[scan] = outcome[0]
    return prepared


def _on_all_cores(
    scans: list[Scan],
    followers: dict[Scan, Path],
    root: Path,
    recipe: Recipe,
    cache: Path,
    title: str,
) -> Iterator[tuple[Scan, Any]]:
    """Yields (scan, (prepared file, notes) or the ImageError)."""
    cache.mkdir(parents=True, exist_ok=True)
    masks = find_masks(root, recipe)
    needs_mask = recipe.mask not in ("foreground", "nonzero")

    def attempt(scan: Scan):
        try:
            if needs_mask and scan.id not in masks:
                raise ImageError(
                    f"{scan.path}: expected a mask in derivatives/{recipe.mask}, got none."
                )
            return prepare_scan(
                scan, masks.get(scan.id), recipe=recipe, cache=cache, follower=followers.get(scan)
            )
        except ImageError as error:
            return error

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from zip(
            scans, tqdm(pool.map(attempt, scans), title, len(scans), unit="scan", leave=False)
        )
