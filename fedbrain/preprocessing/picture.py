"""A picture of a prepared scan: three planes of the head with the outline of the brain, and of the
brain alone.
"""

import io
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.figure import Figure
from PIL import Image

from fedbrain.preprocessing.derivative import write_file

PLANES = ("from the left", "from the front", "from above")  # across axis 0, 1 and 2 of RAS order
WIDTH_PX = 480
COLOURS = 24  # of a palette: pages of hundreds of scans stay small


def draw(
    path: Path,
    head: Float[np.ndarray, "i j k"],
    brain: Bool[np.ndarray, "i j k"],
    image: Float[np.ndarray, "i j k"],
) -> None:
    """Writes the PNG file, about 45 kB.

    Args:
      path: of the file.
      head: with skull, on the grid.
      brain: on the grid.
      image: without skull, on the grid.
    """
    figure = Figure(figsize=(WIDTH_PX / 80, WIDTH_PX / 120), dpi=80, facecolor="black")
    panels = figure.subplots(2, 3)
    for row, data in zip(panels, (head, image)):
        low, high = 0.0, max(1e-6, float(np.percentile(data[data > 0], 99)) if data.any() else 1)
        for axis, (axes, plane) in enumerate(zip(row, PLANES)):
            middle = data.shape[axis] // 2
            shown = np.take(data, middle, axis).T
            axes.imshow(shown, origin="lower", cmap="gray", vmin=low, vmax=high)
            axes.set_axis_off()
            if data is head:
                outline = np.take(brain, middle, axis).T.astype(float)
                if outline.any():
                    axes.contour(outline, levels=[0.5], colors="#ffb000", linewidths=0.8)
                axes.set_title(plane, color="white", fontsize=7, pad=1)
    panels[0, 2].text(0.02, 0.02, "L", transform=panels[0, 2].transAxes, color="white", fontsize=7)
    figure.subplots_adjust(0, 0, 1, 0.95, 0.01, 0.01)
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", metadata={"Software": None})
    small = Image.open(drawn).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    packed = io.BytesIO()
    small.save(packed, format="png", optimize=True)
    write_file(path, packed.getvalue())
