"""From a source to labelled scans and a report: a BIDS tree, a file of arrays, or a synthetic
hospital.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from fedbrain.data.arrays import arrays
from fedbrain.data.bids import Scan
from fedbrain.data.dataset import Preparation, Scans, SiteLoader
from fedbrain.data.labelled import labelled_scans, sexes_of
from fedbrain.data.prepared_site import prepare_site
from fedbrain.data.scan_report import Report
from fedbrain.data.synthetic.site import synthetic


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
            classes=preparation.classes,
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


SITES = {"bids": bids, "arrays": arrays, "synthetic": synthetic}
