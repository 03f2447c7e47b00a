"""What is done to a scan; written beside every image that is made, which is made anew when it
differs.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import fedbrain
from fedbrain.preprocessing import brain, niimath
from fedbrain.preprocessing.template import SPACE, Grid, brain_centre_mm

VERSION = 1  # raise it when the maths of this room changes


class Recipe(NamedTuple):
    """How raw scans are prepared."""

    brain: str  # a row of `brain.METHODS`, or PIPELINE/SUFFIX of a mask
    grid: Grid
    modalities: tuple[str, ...]  # suffixes of images that follow the T1w, when a session has them


def make_recipe(
    method: str,
    voxel_size_mm: float,
    *,
    shape: Sequence[str | int],
    modalities: Sequence[str],
) -> Recipe:
    """A recipe that can be carried out here.

    Args:
      method: that finds the brain, see `brain.METHODS`.
      voxel_size_mm: of the grid.
      shape: of the grid, right-left, front-back, up-down; each a whole number.
      modalities: suffixes of images that follow the T1w.

    Raises:
      ValueError: for a method that does not exist or is not installed, and for an empty grid.
    """
    sizes = [int(n) if str(n).strip().isdecimal() else 0 for n in shape]
    if not voxel_size_mm > 0 or len(sizes) != 3 or min(sizes) < 1:
        got = f"{voxel_size_mm:g} and {','.join(map(str, shape))}"
        raise ValueError(
            "--voxel_size_mm, --shape: expected a size above 0, and three whole numbers of at"
            f" least 1, got {got}."
        )
    if "T1w" in modalities:
        raise ValueError("--modalities: expected what follows the T1w, got T1w itself.")
    niimath.version()
    brain.require(method)
    grid = Grid(voxel_size_mm, (sizes[0], sizes[1], sizes[2]), brain_centre_mm())
    return Recipe(method, grid, tuple(modalities))


def record(recipe: Recipe) -> dict[str, Any]:
    """Everything that a prepared image depends on, beside the scan: for JSON."""
    return {
        "Version": VERSION,
        "Software": f"fedbrain {fedbrain.__version__}",
        "BiasField": f"N4 (niimath {niimath.version()})",
        "Registration": f"affine, brain weighted where that passes (niimath {niimath.version()})",
        "BrainExtraction": brain.version_of(recipe.brain),
        "Template": SPACE,
        "VoxelSize": recipe.grid.voxel_size_mm,
        "Shape": list(recipe.grid.shape),
        "Centre": list(recipe.grid.centre_mm),
        "Units": "mm",
    }
