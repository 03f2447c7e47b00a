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
    """A digest of each file's path, size and time of change, of the recipe, and of its version."""
    files = [(str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns) for path in paths]
    text = json.dumps([VERSION, recipe._asdict(), files])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def prepare_scan(
    scan: Scan, mask: Path | None, *, recipe: Recipe, cache: Path, follower: Path | None = None
) -> tuple[Path, dict[str, str]]:
    """(prepared file, notes by reason); the file is written when it does not exist yet.

    Args:
      scan: that is prepared, or whose field of view and mask the follower gets.
      mask: of the brain, on the scan's grid.
      recipe: see `Recipe`.
      cache: folder of prepared files.
      follower: another modality of the session, prepared instead.

    Raises:
      ImageError: when the scan, its mask or the follower cannot be used.
    """
    image = follower or scan.path
    require_file(image)
    require_file(scan.path)
    sources = [path for path in (scan.path, mask, follower) if path]
    prepared = cache / f"{scan.id}_{fingerprint(sources, recipe)}.f32"
    notes_file = prepared.with_suffix(".json")
    if prepared.exists():
        return prepared, json.loads(notes_file.read_text()) if notes_file.exists() else {}
    volume = read_volume(scan.path)
    brain = None if mask is None else _read_mask(mask, volume)
    second = None if follower is None else read_volume(follower)
    try:
        data = conform(volume, recipe, brain, second)
    except ImageError as error:
        raise ImageError(f"{image}: {error}.") from None
    notes = _notes(image, second or volume)
    if notes:
        notes_file.write_text(json.dumps(notes))
    save_prepared(prepared, data)
    return prepared, notes


def save_prepared(path: Path, data: np.ndarray) -> None:
    """Writes a prepared volume to a temporary name, then renames it."""
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
    """Where a mask or label map on the grid of a volume is above 0."""
    labels = read_volume(path)
    same_shape = labels.data.shape == volume.data.shape
    if not same_shape or not np.allclose(labels.affine, volume.affine, atol=1e-2):
        raise ImageError(
            f"{path}: expected the grid of its scan {volume.data.shape}, got {labels.data.shape} or"
            " another affine."
        )
    return labels.data > 0


def find_masks(root: Path, recipe: Recipe) -> dict[str, Path]:
    """Scan id -> brain mask or label map (brain = label > 0), of the derivative in a recipe."""
    if recipe.mask in ("foreground", "nonzero"):
        return {}
    pipeline, _, pattern = recipe.mask.partition("/")
    return {scan.id: scan.path for scan in find_scans(root, pattern, pipeline=pipeline)}


def prepare(
    scans: list[Scan], root: Path, *, recipe: Recipe, cache: Path, report: Report
) -> dict[Scan, Path]:
    """Prepares all scans on all cores, with a progress bar.

    Returns:
      Scan -> prepared file. Images that cannot be used are left out and reported.
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
    """Prepares another modality of prepared scans.

    Args:
      followers: scan -> image of the other modality.
      modality: its suffix, for messages.
      root: of the BIDS tree.
      recipe: see `Recipe`.
      cache: folder of prepared files.
      report: where unusable images are noted; they count as missing.

    Returns:
      Scan -> prepared file.
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
            mask, follower = masks.get(scan.id), followers.get(scan)
            return prepare_scan(scan, mask, recipe=recipe, cache=cache, follower=follower)
        except ImageError as error:
            return error

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        outcomes = pool.map(attempt, scans)
        yield from zip(scans, tqdm(outcomes, title, len(scans), unit="scan", leave=False))
