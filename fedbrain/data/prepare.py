"""Prepares scans once: conformed volumes on disk, keyed by a fingerprint of input file and recipe.

A prepared volume is written to a temporary name and renamed, so a killed run leaves no half file
behind, and a changed scan or recipe gets another name.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from fedbrain import progress
from fedbrain.data.bids import Scan
from fedbrain.data.conform import VERSION, conform
from fedbrain.data.masks import Masks, read_mask
from fedbrain.data.memory import SHARE, Memory, free_bytes, needed_bytes
from fedbrain.data.nifti import read_volume
from fedbrain.data.nifti_file import ImageError, require_file, sentence
from fedbrain.data.peculiar import VERSION as NOTES_VERSION
from fedbrain.data.peculiar import notes_of
from fedbrain.data.prepared_file import (
    STORAGES,
    CacheError,
    DamagedError,
    read_notes,
    save_prepared,
)
from fedbrain.data.recipes import Recipe
from fedbrain.data.scan_report import Report
from fedbrain.data.scratch import remove_unfinished

SAMPLES, SAMPLE_BYTES = 64, 1024  # of a file, for its fingerprint


def fingerprint(paths: list[Path], recipe: Recipe) -> str:
    """Changes with a file's place, size, time of change or content, with the recipe, and with the
    version of its maths.
    """
    files = [
        (str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns, content_sample(path))
        for path in paths
    ]
    settings = {name: value for name, value in recipe._asdict().items() if value is not None}
    text = json.dumps([VERSION, NOTES_VERSION, settings, files])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def content_sample(path: Path) -> str:
    """A digest of pieces of a file, first and last bytes among them: another image in its place is
    noticed even when size and time are the same. A gzip file ends with its checksum.
    """
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        last = max(0, os.fstat(file.fileno()).st_size - SAMPLE_BYTES)
        for i in range(SAMPLES):
            file.seek(last * i // (SAMPLES - 1))
            digest.update(file.read(SAMPLE_BYTES))
    return digest.hexdigest()


def name_of(scan: Scan, paths: list[Path], recipe: Recipe) -> str:
    """The name of a prepared file.

    Args:
      scan: that is prepared.
      paths: all files that it depends on; the prepared one first.
      recipe: see `Recipe`.

    Raises:
      ImageError: when one of them is missing, empty or closed.
    """
    for path in paths:
        require_file(path)
    try:
        return f"{scan.id}_{fingerprint(paths, recipe)}{STORAGES[recipe.storage].suffix}"
    except OSError as error:
        raise ImageError(sentence(paths[0], error)) from None


def prepare_scan(
    scan: Scan,
    mask: Path | None,
    *,
    recipe: Recipe,
    cache: Path,
    follower: Path | None = None,
    memory: Memory | None = None,
) -> tuple[Path, dict[str, str]]:
    """(prepared file, notes by reason); the file is written when it does not exist yet.

    Args:
      scan: that is prepared, or whose field of view and mask the follower gets.
      mask: of the brain, on the scan's grid.
      recipe: see `Recipe`.
      cache: folder of prepared files.
      follower: another modality of the session, prepared instead.
      memory: that scans prepared at the same time share; None: all that is free.

    Raises:
      ImageError: when the scan, its mask or the follower cannot be used.
      CacheError: when the cache cannot be written.
    """
    shown = follower or scan.path
    paths = [path for path in (follower, scan.path, mask) if path]
    target = cache / name_of(scan, paths, recipe)
    try:
        return target, read_notes(target, recipe.shape)
    except DamagedError:
        pass  # it is not there yet, or cut short: it is made now
    try:
        memory = memory or Memory(free_bytes())
        with memory.hold(shown, needed_bytes(paths)):
            volume = read_volume(scan.path)
            brain = None if mask is None else read_mask(mask, volume)
            second = None if follower is None else read_volume(follower)
            notes = notes_of(shown, second or volume, recipe, None if follower else brain)
            data = conform(volume, recipe, brain, second)
    except ImageError as error:
        named = str(error).startswith(tuple(map(str, paths)))
        raise ImageError(str(error) if named else f"{shown}: {error}.") from None
    except Exception as error:  # an image can raise anything
        raise ImageError(sentence(shown, error)) from None
    save_prepared(target, data, notes)
    return target, notes


def prepare_again(
    scan: Scan, root: Path, *, recipe: Recipe, cache: Path, follower: Path | None = None
) -> Path:
    """Makes one prepared file anew; see `prepare_scan`."""
    mask = Masks(root, recipe).of(scan)
    return prepare_scan(scan, mask, recipe=recipe, cache=cache, follower=follower)[0]


def prepare(
    scans: list[Scan], root: Path, *, recipe: Recipe, cache: Path, report: Report
) -> dict[Scan, Path]:
    """Prepares all scans on all cores, with a progress bar.

    Returns:
      Scan -> prepared file. Images that cannot be used are left out and reported.
    """
    remove_unfinished(cache)
    prepared = {}
    for scan, outcome in _on_all_cores(scans, {}, root, recipe, cache, f"{report.site}: prepare"):
        if isinstance(outcome, ImageError):
            report.leave_out("unusable image", str(outcome))
            continue
        prepared[scan], notes = outcome
        report.look(notes)
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
    masks = Masks(root, recipe)
    memory = Memory(int(SHARE * free_bytes()))

    def attempt(scan: Scan):
        try:
            return prepare_scan(
                scan,
                masks.of(scan),
                recipe=recipe,
                cache=cache,
                follower=followers.get(scan),
                memory=memory,
            )
        except ImageError as error:
            return error

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        try:
            done = pool.map(attempt, scans)
            options = {"unit": "scan", "leave": False}
            yield from zip(scans, progress.each(done, title, len(scans), **options))
        except CacheError:
            pool.shutdown(cancel_futures=True)
            raise
