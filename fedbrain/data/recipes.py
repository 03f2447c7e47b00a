"""How scans are prepared: voxel size, box and mask; `config.prepare`."""

import math
from typing import NamedTuple

MOST_VOXELS = 1024  # of an axis: 4.3 GB a volume; a mistake rather than a wish


class Recipe(NamedTuple):
    """How scans are prepared. Everything here is part of the cache fingerprint."""

    voxel_size_mm: float = 3.0
    shape: tuple[int, int, int] = (64, 72, 64)  # right-left, front-back, up-down
    # `foreground` (Otsu), `nonzero` (brain-extracted images), or `<pipeline>/<suffix>`
    mask: str = "foreground"
    centre_mm: tuple[float, float, float] | None = None  # of the box, where images share a space


def conform_recipe(
    voxel_size_mm: float = 3.0, shape: tuple[int, ...] = (64, 72, 64), mask: str = "foreground"
) -> Recipe:
    """A recipe for `prepare`.

    Args:
      voxel_size_mm: edge of the cubic voxels.
      shape: voxels right-left, front-back and up-down.
      mask: `foreground` (Otsu), `nonzero` (brain-extracted images), or `<pipeline>/<suffix>`.
    """
    axes = len(shape) == 3 and all(1 <= size <= MOST_VOXELS for size in shape)
    if not 0 < voxel_size_mm < math.inf or not axes:
        raise ValueError(
            f"Expected voxel_size_mm > 0 and three axes of 1 to {MOST_VOXELS:,} voxels, got"
            f" {voxel_size_mm} and {shape}."
        )
    return Recipe(float(voxel_size_mm), (int(shape[0]), int(shape[1]), int(shape[2])), mask)


def registered_recipe(
    voxel_size_mm: float = 1.4,
    shape: tuple[int, ...] = (130, 130, 130),
    mask: str = "nonzero",
    centre_mm: tuple[float, ...] = (0.0, -17.0, 4.0),
) -> Recipe:
    """A recipe for images that are registered to one template: every box lies at the same place, so
    that a voxel is the same place in every brain.

    Args:
      voxel_size_mm: edge of the cubic voxels.
      shape: voxels right-left, front-back and up-down.
      mask: `nonzero` (brain-extracted images), or `<pipeline>/<suffix>`.
      centre_mm: of the box, in the template's space; by default the middle of the MNI brain.
    """
    if mask == "foreground" or len(centre_mm) != 3:
        raise ValueError(
            "Expected a mask of the brain, `nonzero` or `<pipeline>/<suffix>`, and three"
            f" coordinates of its centre, got {mask!r} and {centre_mm}."
        )
    x, y, z = (float(v) for v in centre_mm)
    return conform_recipe(voxel_size_mm, shape, mask)._replace(centre_mm=(x, y, z))


RECIPES = {"conform": conform_recipe, "registered": registered_recipe}
