"""Maps in the space of prepared volumes: as NIfTI files, and as a montage of slices."""

import gzip
from collections.abc import Mapping
from pathlib import Path

import nibabel as nib
import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from fedbrain.analysis.figures import titled
from fedbrain.data.whole_file import write_whole

Grid = Float[np.ndarray, "x y z"]


def save_map(path: Path, data: Grid, voxel_size_mm: float) -> None:
    """Writes `.nii.gz` in RAS, mm, the origin in the middle of the volume; twice the same bytes."""
    affine = np.diag([voxel_size_mm] * 3 + [1.0])
    affine[:3, 3] = -voxel_size_mm * (np.asarray(data.shape) - 1) / 2
    image = nib.Nifti1Image(np.asarray(data, np.float32), affine)  # pyright: ignore[reportPrivateImportUsage]
    image.header.set_xyzt_units("mm")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, gzip.compress(image.to_bytes(), mtime=0))


def height_mm(shape: tuple[int, ...], z: int, voxel_size_mm: float) -> float:
    """How far a slice lies above the middle of the volume, as in the files of `save_map`.

    >>> height_mm((10, 10, 11), 7, 6.0)
    12.0
    """
    return (z - (shape[2] - 1) / 2) * voxel_size_mm


def montage(
    brains: Mapping[str, Grid],
    maps: Mapping[str, Grid],
    *,
    title: str,
    measure: str,
    voxel_size_mm: float,
    synthetic: bool,
    slices: int = 8,
) -> Figure:
    """Axial slices of each site's mean brain, with the upper tenth of its map in colour.

    L and R are the sides of the person; heights are above the middle of the volume. Every site has
    a colour bar of its own.

    Args:
      brains: site -> mean image.
      maps: site -> map of the same shape, >= 0.
      title: of the figure.
      measure: what the colours mean, with its unit.
      voxel_size_mm: edge of a voxel.
      synthetic: adds "(synthetic)" to the title.
      slices: per site, from below to above.
    """
    figure = Figure(figsize=(1.5 * slices + 1, 2.1 * len(brains) + 0.5), layout="constrained")
    rows = figure.subplots(len(brains), slices, squeeze=False)
    for row, (site, brain) in zip(rows, brains.items()):
        values = maps[site]
        threshold = max(float(np.quantile(values, 0.9)), 1e-12)
        grey = {"cmap": "gray", "vmin": brain.min(), "vmax": np.quantile(brain, 0.995)}
        hot = {"cmap": "hot", "vmin": 0, "vmax": max(float(values.max()), 1e-12), "alpha": 0.6}
        levels = np.linspace(0.15, 0.85, slices) * (brain.shape[2] - 1)
        for axis, z in zip(row, levels.round().astype(int).tolist()):
            axis.imshow(brain[:, :, z].T, origin="lower", **grey)
            strong = np.ma.masked_less(values[:, :, z].T, threshold)
            coloured = axis.imshow(strong, origin="lower", **hot)
            height = height_mm(brain.shape, z, voxel_size_mm)
            axis.set(xticks=[], yticks=[])
            axis.set_title(f"{height:+.0f} mm", fontsize="small")
        row[0].set_ylabel(site)
        row[0].set_xticks([0, brain.shape[0] - 1], ["L", "R"])  # volumes are RAS
        figure.colorbar(coloured, ax=list(row), shrink=0.8, label=measure)
    figure.suptitle(titled(title, synthetic))
    return figure
