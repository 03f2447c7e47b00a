"""A montage of prepared scans: each in three planes."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from fedbrain.analysis.figures import save, titled

PLANES = ("sagittal", "coronal", "axial")  # across axis 0, 1 and 2 of RAS order


def scan_montage(
    path: Path, scans: Mapping[str, Float[np.ndarray, "d h w"]], *, title: str, synthetic: bool
) -> None:
    """Three planes through the middle of each scan, below its name.

    Args:
      path: of the PNG file.
      scans: name -> prepared volume, in RAS order.
      title: of the figure.
      synthetic: adds "(synthetic)" to the title.
    """
    figure = Figure(figsize=(1.9 * len(scans), 6.2), layout="constrained")
    panels = figure.subplots(len(PLANES), len(scans), squeeze=False)
    for column, (name, volume) in zip(panels.T, scans.items()):
        low, high = np.quantile(volume, [0.01, 0.995])
        for axis, (axes, plane) in enumerate(zip(column, PLANES)):
            middle = np.take(volume, volume.shape[axis] // 2, axis)
            axes.imshow(middle.T, origin="lower", cmap="gray", vmin=low, vmax=max(high, low + 1e-6))
            axes.set(xticks=[], yticks=[])
            if axes is panels[axis, 0]:
                axes.set_ylabel(plane)
        column[0].set_title(name, fontsize="small")
    figure.suptitle(titled(title, synthetic))
    save(figure, path)
