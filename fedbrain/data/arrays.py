"""A site from one NumPy file of brain-extracted volumes."""

import math
from pathlib import Path

import numpy as np

from fedbrain.data.class_labels import parse_label
from fedbrain.data.conform import conform
from fedbrain.data.dataset import Preparation, Scans, SiteLoader
from fedbrain.data.nifti import ImageError, Volume
from fedbrain.data.scan_report import Report
from fedbrain.data.tables import parse_value, read_table


def arrays(
    path: str, label: str = "age", voxel_size_mm: float = 3.0, table: str = ""
) -> SiteLoader:
    """A `.npz` of brain-extracted volumes: `image` [n x y z], `participant_id` [n], and numbers [n]
    under other names.

    Volumes are in RAS order with cubic voxels of `voxel_size_mm`, and 0 outside the brain.

    Args:
      path: of the file; `~` is the home folder.
      label: an array of the file, or a column of the table.
      voxel_size_mm: of the images.
      table: a TSV file with `participant_id` and further columns.
    """

    def load(name: str, preparation: Preparation) -> tuple[Scans, Report]:
        image, ids, columns = _read(name, Path(path).expanduser())
        cells = _cells_of(Path(table).expanduser(), ids) if table else {}
        columns |= {k: np.asarray([_number(t, k) for t in v], np.float32) for k, v in cells.items()}
        if label not in columns:
            raise ValueError(
                f"sites.{name}: {path}: expected an array or a column {label!r}, got"
                f" {sorted(columns)}."
            )
        report = Report(name, found=len(ids))
        texts = cells.get(label) or [f"{value!r}" for value in columns[label].tolist()]
        kept, volumes, target = [], [], []
        for i, scan in enumerate(ids):
            value, problem = _label(texts[i], label, preparation.classes)
            if value is None:
                report.leave_out("no label", f"{scan}: {problem}.")
                continue
            try:
                volumes.append(_prepare(image[i], voxel_size_mm, preparation))
            except ImageError as error:
                report.leave_out("unusable image", f"{path}: {scan}: {error}.")
                continue
            kept.append(i)
            target.append(value)
        report.kept = len(kept)
        chosen = {k: v[kept] for k, v in columns.items()}
        names = tuple(ids[i] for i in kept)
        return Scans(names, names, np.asarray(target, np.float32), volumes, chosen), report

    return load


def _read(name: str, path: Path) -> tuple[np.ndarray, list[str], dict[str, np.ndarray]]:
    try:
        with np.load(path, allow_pickle=False) as data:
            missing = {"image", "participant_id"} - set(data.files)
            if missing:
                raise ValueError(
                    f"expected an array {sorted(missing)[0]!r}, got {sorted(data.files)}."
                )
            image, ids = data["image"], [str(i) for i in data["participant_id"].tolist()]
            columns = {
                k: data[k].astype(np.float32)
                for k in data.files
                if data[k].shape == (len(ids),) and k[-3:] != "_id"
            }
    except FileNotFoundError:
        raise ValueError(f"sites.{name}: {path}: expected a file, got nothing there.") from None
    except OSError as error:
        raise ValueError(f"sites.{name}: {path}: cannot be read: {error}.") from None
    except Exception as error:  # a damaged archive raises many things
        raise ValueError(f"sites.{name}: {path}: {error}") from None
    if image.ndim != 4 or len(image) != len(ids):
        raise ValueError(
            f"sites.{name}: {path}: expected image [n x y z] of {len(ids)} participants, got"
            f" {image.shape}."
        )
    return image, ids, columns


def _cells_of(table: Path, ids: list[str]) -> dict[str, list[str]]:
    """Column -> its cells, one for each of the ids."""
    rows = {row["participant_id"]: row for row in read_table(table) if "participant_id" in row}
    columns = {k for row in rows.values() for k in row} - {"participant_id"}
    return {k: [rows.get(i, {}).get(k, "") for i in ids] for k in columns}


def _label(text: str, label: str, classes: tuple[str, ...]) -> tuple[float | None, str]:
    """(value, why there is none)."""
    try:
        return parse_label(text, label, classes), f"{label} is not known"
    except ValueError as error:
        return None, f"{label}: {error}".rstrip(".")


def _number(text: str, column: str) -> float:
    try:
        value = parse_value(text, column)
    except ValueError:
        return math.nan
    return math.nan if value is None else value


def _prepare(image: np.ndarray, voxel_size_mm: float, preparation: Preparation) -> np.ndarray:
    data = image.astype(np.float32)
    size = (voxel_size_mm, voxel_size_mm, voxel_size_mm)
    volume = Volume(data, np.diag([*size, 1.0]), size, 0)
    first = conform(volume, preparation.recipe, data != 0)
    others = [np.zeros_like(first)] * (len(preparation.modalities) - 1)
    return np.stack([first, *others], axis=-1)
