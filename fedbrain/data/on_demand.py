"""Scans whose volumes are prepared when they are read: to look at a tree before it is prepared."""

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from fedbrain.data.bids import Scan
from fedbrain.data.masks import Masks
from fedbrain.data.memory import needed_bytes
from fedbrain.data.nifti_file import ImageError
from fedbrain.data.prepare import name_of
from fedbrain.data.prepared_file import DamagedError, read_notes
from fedbrain.data.recipes import Recipe
from fedbrain.data.scan_report import Report


def place(
    scans: list[Scan],
    followers: Mapping[Scan, Path],
    root: Path,
    *,
    recipe: Recipe,
    cache: Path,
    scratch: Path,
    report: Report,
) -> dict[Scan, Path]:
    """Where the prepared volume of each scan is, or would be. Headers are read and no voxels.

    Args:
      scans: of a tree.
      followers: scan -> image of another modality, to be prepared instead; empty: the scan itself.
      root: of the tree.
      recipe: see `Recipe`.
      cache: folder of prepared volumes; nothing is written there.
      scratch: folder for those that the cache does not have.
      report: gets the images whose header, mask or file cannot be used, and what is known of those
        that are prepared.
    """
    masks = Masks(root, recipe)

    def attempt(scan: Scan) -> tuple[Path, dict[str, str] | None] | ImageError:
        try:
            paths = [p for p in (followers.get(scan), scan.path, masks.of(scan)) if p]
            name = name_of(scan, paths, recipe)
            needed_bytes(paths)
        except ImageError as error:
            return error
        try:
            return cache / name, read_notes(cache / name, recipe.shape)
        except DamagedError:
            return scratch / name, None

    places = {}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for scan, outcome in zip(scans, pool.map(attempt, scans)):
            if isinstance(outcome, ImageError):
                if followers:
                    report.note("unusable image, used without", str(outcome))
                else:
                    report.leave_out("unusable image", str(outcome))
                continue
            places[scan], notes = outcome
            if notes is not None and not followers:
                report.look(notes)
    return places
