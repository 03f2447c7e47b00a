"""Prepares scans once: conformed volumes on disk, keyed by a fingerprint of input file and recipe.

A prepared volume is one file of raw float32 in C order, of the recipe's shape. It is written to a temporary name and
renamed, so a killed run leaves no half file behind, and a changed scan or recipe gets another name.
"""

import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from fedbrain.data.bids import Scan, find_scans
from fedbrain.data.conform import VERSION, Recipe, conform
from fedbrain.data.nifti import ImageError, Volume, read_volume, require_file
from fedbrain.data.report import Report


def fingerprint(paths: list[Path], recipe: Recipe) -> str:
    """Changes with a file's place, size or time of change, with the recipe, and with the version of its maths."""
    files = [(str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns) for path in paths]
    text = json.dumps([VERSION, recipe._asdict(), files])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def prepare_scan(scan: Scan, mask: Path | None, *, recipe: Recipe, cache: Path) -> tuple[Path, dict[str, str]]:
    """Returns (prepared file, notes by reason); makes the file when it is not there yet.

    Raises:
      ImageError: when the scan or its mask cannot be used.
    """
    require_file(scan.path)
    target = cache / f"{scan.id}_{fingerprint([p for p in (scan.path, mask) if p], recipe)}.f32"
    told = target.with_suffix(".json")
    if target.exists():
        return target, json.loads(told.read_text()) if told.exists() else {}
    volume = read_volume(scan.path)
    brain = None if mask is None else _read_mask(mask, volume)
    try:
        data = conform(volume, recipe, brain)
    except ImageError as error:
        raise ImageError(f"{scan.path}: {error}.") from None
    temporary = target.with_suffix(f".{os.getpid()}.{id(data)}.tmp")
    np.ascontiguousarray(data, np.float32).tofile(temporary)
    notes = _notes(scan.path, volume)
    if notes:
        told.write_text(json.dumps(notes))
    temporary.replace(target)
    return target, notes


def _notes(path: Path, volume: Volume) -> dict[str, str]:
    notes = {}
    if volume.non_finite:
        notes["non-finite voxels"] = f"{path}: {volume.non_finite} voxels were NaN or infinite and became 0."
    if not volume.oriented:
        notes["no orientation in the header"] = f"{path}: neither sform nor qform is set; LAS order was assumed."
    return notes


def _read_mask(path: Path, volume: Volume) -> np.ndarray:
    labels = read_volume(path)
    if labels.data.shape != volume.data.shape or not np.allclose(labels.affine, volume.affine, atol=1e-2):
        raise ImageError(
            f"{path}: expected the grid of its scan {volume.data.shape}, got {labels.data.shape} or another affine."
        )
    return labels.data > 0


def find_masks(root: Path, recipe: Recipe) -> dict[str, Path]:
    """Brain masks or label maps (brain = label > 0) of the derivative that a recipe names, by scan id."""
    if recipe.mask in ("foreground", "nonzero"):
        return {}
    pipeline, _, pattern = recipe.mask.partition("/")
    return {scan.id: scan.path for scan in find_scans(root, pattern, pipeline=pipeline)}


def prepare(scans: list[Scan], root: Path, *, recipe: Recipe, cache: Path, report: Report) -> dict[Scan, Path]:
    """Prepares all scans on all cores, with a progress bar; what cannot be used goes into the report."""
    cache.mkdir(parents=True, exist_ok=True)
    masks = find_masks(root, recipe)
    needs_mask = recipe.mask not in ("foreground", "nonzero")
    work = partial(_attempt, masks=masks, needs_mask=needs_mask, recipe=recipe, cache=cache)
    prepared = {}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        outcomes = pool.map(work, scans)
        for scan, outcome in zip(scans, tqdm(outcomes, f"{report.site}: prepare", len(scans), unit="scan", leave=False)):
            if isinstance(outcome, ImageError):
                report.leave_out("unusable image", str(outcome))
                continue
            prepared[scan], notes = outcome
            for reason, sentence in notes.items():
                report.note(reason, sentence)
    return prepared


def _attempt(scan: Scan, *, masks: dict[str, Path], needs_mask: bool, recipe: Recipe, cache: Path):
    try:
        if needs_mask and scan.id not in masks:
            raise ImageError(f"{scan.path}: expected a mask in derivatives/{recipe.mask}, got none.")
        return prepare_scan(scan, masks.get(scan.id), recipe=recipe, cache=cache)
    except ImageError as error:
        return error
