"""From a source to labelled scans and a report: a BIDS tree, a file of arrays, or a synthetic
hospital.
"""

import math
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path

import numpy as np

from fedbrain.data.arrays import arrays
from fedbrain.data.bids import Scan, find_scans
from fedbrain.data.choice import one_per_session
from fedbrain.data.columns import read_tables
from fedbrain.data.dataset import Preparation, Scans, SiteLoader, Volumes
from fedbrain.data.labelled import labelled_scans, read_column, sexes_of
from fedbrain.data.on_demand import place
from fedbrain.data.prepare import content_sample, prepare, prepare_again, prepare_followers
from fedbrain.data.scan_report import Report
from fedbrain.data.synthetic.site import synthetic
from fedbrain.data.voxel_sizes import voxel_sizes_mm


def bids(
    root: str,
    label: str = "age",
    pattern: str = "T1w",
    pipeline: str = "",
    columns: Mapping[str, str] | None = None,
    include: str | Iterable[str] = (),
    exclude: str | Iterable[str] = (),
) -> SiteLoader:
    """Scans of a BIDS tree with a label.

    Args:
      root: folder of the data set; `~` is the home folder.
      label: a column, or `table:column` (see `columns`).
      pattern: suffix, or entities and suffix, of the images of the first modality; the suffix of
        another takes its place.
      pipeline: reads images from `derivatives/<pipeline>`; tables are always those of the raw tree.
      columns: what covariates, norms and descriptions call a column -> the column here, like a
        label.
      include: subjects (`sub-01`), sessions (`ses-1`) or both (`sub-01_ses-1`) to use; empty: all.
      exclude: subjects and sessions to leave out.
    """

    def load(name: str, preparation: Preparation) -> tuple[Scans, Report]:
        if not root:
            raise ValueError(
                f"sites.{name}: expected the folder of a BIDS tree, got ''. Set"
                f" --config.sites.{name}=\"bids('FOLDER')\"."
            )
        try:
            return load_tree(name, Path(root).expanduser(), preparation)
        except (ValueError, OSError, RuntimeError) as error:  # RuntimeError: ~ of nobody
            raise ValueError(f"sites.{name}: {error}") from None

    def load_tree(name: str, folder: Path, preparation: Preparation) -> tuple[Scans, Report]:
        scans, report = labelled_scans(
            folder,
            name,
            label=label,
            pattern=pattern,
            pipeline=pipeline,
            include=include,
            exclude=exclude,
            sexes=sexes_of(columns or {}),
        )
        known: dict[Scan, float | None] = {s: v for s, v in scans.items() if v is not None}
        return prepare_site(
            folder,
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
    recipe, cache, modalities, scratch = preparation
    options = {"recipe": recipe, "cache": cache, "report": report}
    prepared = (
        prepare(list(labels), root, **options)
        if scratch is None
        else place(list(labels), {}, root, scratch=scratch, **options)
    )
    scans = list(prepared)
    report.measure(voxel_sizes_mm([scan.path for scan in scans]))
    files: list[dict[Scan, Path]] = [prepared]
    again = partial(prepare_again, root=root, recipe=recipe)
    makers = {path: partial(again, scan, cache=path.parent) for scan, path in prepared.items()}
    for modality in modalities[1:]:
        other = pattern.removesuffix(modalities[0]) + modality
        found = {
            scan.id: scan.path
            for scan in one_per_session(find_scans(root, other, pipeline=pipeline))[0]
        }
        followers = {scan: found[scan.id] for scan in scans if scan.id in found}
        files.append(
            prepare_followers(followers, modality, root, **options)
            if scratch is None
            else place(list(followers), followers, root, scratch=scratch, **options)
        )
        makers |= {
            path: partial(again, scan, cache=path.parent, follower=followers[scan])
            for scan, path in files[-1].items()
        }
        for scan in scans:
            if scan.id not in found:
                report.note(
                    f"without {modality}", f"{scan.id} has no {other} image; it is used without."
                )
    report.kept = len(scans)
    target = np.asarray([math.nan if labels[s] is None else labels[s] for s in scans], np.float32)
    if scratch is not None:  # then the cache stays as it is
        makers = {path: make for path, make in makers.items() if path.parent == scratch}
    paths = [[of.get(scan) for of in files] for scan in scans]
    digests = [content_sample(scan.path).encode() for scan in scans] if scratch else ()
    volumes = Volumes(paths, recipe.shape, makers, digests)
    tables = read_tables(root)
    values = {
        name: read_column(tables, scans, name, column, report)
        for name, column in (columns or {}).items()
    }
    return (
        Scans(tuple(s.id for s in scans), tuple(s.subject for s in scans), target, volumes, values),
        report,
    )


SITES = {"bids": bids, "arrays": arrays, "synthetic": synthetic}
