"""From the labelled scans of a BIDS tree to volumes in all modalities, targets and columns."""

import math
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np

from fedbrain.data.bids import Scan, find_scans
from fedbrain.data.choice import one_per_session
from fedbrain.data.columns import read_tables
from fedbrain.data.dataset import Preparation, Scans, Volumes
from fedbrain.data.labelled import read_column
from fedbrain.data.on_demand import place
from fedbrain.data.prepare import content_sample, prepare, prepare_again, prepare_followers
from fedbrain.data.scan_report import Report
from fedbrain.data.voxel_sizes import voxel_sizes_mm


def prepare_site(
    root: Path,
    labels: Mapping[Scan, float | None],
    report: Report,
    preparation: Preparation,
    *,
    pattern: str,
    pipeline: str,
    columns: Mapping[str, str] | None,
) -> tuple[Scans, Report]:
    """Prepares the scans of a tree and joins them with their labels and columns.

    Args:
      root: of the tree.
      labels: scan -> label, in units of the target; None where there is none: NaN.
      report: gets what is left out and why.
      preparation: how volumes are prepared, of which modalities, and where they go.
      pattern: of the images of the first modality; the suffix of another takes its place.
      pipeline: whose derivatives hold the images; empty: the raw tree.
      columns: name of a column -> the column in this tree.
    """
    prepared = _first_modality(list(labels), root, report, preparation)
    scans = list(prepared)
    report.measure(voxel_sizes_mm([scan.path for scan in scans]))
    makers = _makers(prepared, {}, root, preparation)
    modalities = [prepared]
    for modality in preparation.modalities[1:]:
        other = pattern.removesuffix(preparation.modalities[0]) + modality
        followers = _images_of(scans, root, other, pipeline)
        modalities.append(_further_modality(followers, modality, root, report, preparation))
        makers |= _makers(modalities[-1], followers, root, preparation)
        for scan in scans:
            if scan not in followers:
                text = f"{scan.id} has no {other} image; it is used without."
                report.note(f"without {modality}", text)
    report.kept = len(scans)
    digests: list[bytes] = []
    if preparation.scratch is not None:
        digests = [content_sample(scan.path).encode() for scan in scans]
    paths = [[of.get(scan) for of in modalities] for scan in scans]
    tables = read_tables(root)
    values = {
        name: read_column(tables, scans, name, column, report)
        for name, column in (columns or {}).items()
    }
    return (
        Scans(
            ids=tuple(scan.id for scan in scans),
            subjects=tuple(scan.subject for scan in scans),
            target=_as_target([labels[scan] for scan in scans]),
            volumes=Volumes(paths, preparation.recipe.shape, makers, digests),
            columns=values,
        ),
        report,
    )


def _as_target(labels: list[float | None]) -> np.ndarray:
    """[n] float32, NaN where there is no label."""
    return np.asarray([math.nan if label is None else label for label in labels], np.float32)


def _first_modality(
    scans: list[Scan], root: Path, report: Report, preparation: Preparation
) -> dict[Scan, Path]:
    """Scan -> prepared volume, or where it would be; without the images that cannot be used."""
    recipe, cache, _, scratch, _ = preparation
    if scratch is None:
        return prepare(scans, root, recipe=recipe, cache=cache, report=report)
    return place(scans, {}, root, recipe=recipe, cache=cache, scratch=scratch, report=report)


def _further_modality(
    followers: dict[Scan, Path],
    modality: str,
    root: Path,
    report: Report,
    preparation: Preparation,
) -> dict[Scan, Path]:
    """The same for another modality of these scans."""
    recipe, cache, _, scratch, _ = preparation
    options = {"recipe": recipe, "cache": cache, "report": report}
    if scratch is None:
        return prepare_followers(followers, modality, root, **options)
    return place(list(followers), followers, root, scratch=scratch, **options)


def _images_of(scans: list[Scan], root: Path, pattern: str, pipeline: str) -> dict[Scan, Path]:
    """Scan -> image of another modality in its session, for those that have one."""
    others = one_per_session(find_scans(root, pattern, pipeline=pipeline))[0]
    paths = {scan.id: scan.path for scan in others}
    return {scan: paths[scan.id] for scan in scans if scan.id in paths}


def _makers(
    prepared: Mapping[Scan, Path],
    followers: Mapping[Scan, Path],
    root: Path,
    preparation: Preparation,
) -> dict[Path, Callable[[], Path]]:
    """Prepared volume -> how it is made anew; with a scratch folder the cache stays as it is."""
    again = partial(prepare_again, root=root, recipe=preparation.recipe)
    return {
        path: partial(again, scan, cache=path.parent, follower=followers.get(scan))
        for scan, path in prepared.items()
        if preparation.scratch in (None, path.parent)
    }
