"""How scans are prepared: voxel size, box, mask and storage; `config.prepare`."""

import math
from typing import NamedTuple

from fedbrain.data.prepared_file import STORAGES

MOST_VOXELS = 1024  # of an axis: 4.3 GB a volume; a mistake rather than a wish


class Recipe(NamedTuple):
    """How scans are prepared. Everything here is part of the cache fingerprint."""

    voxel_size_mm: float = 3.0
    shape: tuple[int, int, int] = (64, 72, 64)  # right-left, front-back, up-down
    # `foreground` (Otsu), `nonzero` (brain-extracted images), or `<pipeline>/<suffix>`
    mask: str = "foreground"
    centre_mm: tuple[float, float, float] | None = None  # of the box, where images share a space
    storage: str = "float32"  # of prepared volumes on the disk: a row of `STORAGES`


def conform_recipe(
    voxel_size_mm: float = 3.0,
    shape: tuple[int, ...] = (64, 72, 64),
    mask: str = "foreground",
    storage: str = "float32",
) -> Recipe:
    """A recipe for `prepare`.

    Args:
      voxel_size_mm: edge of the cubic voxels.
      shape: voxels right-left, front-back and up-down.
      mask: `foreground` (Otsu), `nonzero` (brain-extracted images), or `<pipeline>/<suffix>`.
      storage: of prepared volumes on the disk: `float32`, or `int8` in a quarter of the space.
    """
    if storage not in STORAGES:
        raise ValueError(f"Expected storage to be one of {', '.join(STORAGES)}, got {storage!r}.")
    axes = len(shape) == 3 and all(1 <= size <= MOST_VOXELS for size in shape)
    if not 0 < voxel_size_mm < math.inf or not axes:
        raise ValueError(
            f"Expected voxel_size_mm > 0 and three axes of 1 to {MOST_VOXELS:,} voxels, got"
            f" {voxel_size_mm} and {shape}."
        )
    x, y, z = (int(size) for size in shape)
    return Recipe(float(voxel_size_mm), (x, y, z), mask, storage=storage)


def registered_recipe(
    voxel_size_mm: float = 1.4,
    shape: tuple[int, ...] = (130, 130, 130),
    mask: str = "nonzero",
    centre_mm: tuple[float, ...] = (0.0, -17.0, 4.0),
    storage: str = "float32",
) -> Recipe:
    """A recipe for images that are registered to one template: every box lies at the same place, so
    that a voxel is the same place in every brain.

    Args:
      voxel_size_mm: edge of the cubic voxels.
      shape: voxels right-left, front-back and up-down.
      mask: `nonzero` (brain-extracted images), or `<pipeline>/<suffix>`.
      centre_mm: of the box, in the template's space; by default the middle of the MNI brain.
      storage: see `conform_recipe`.
    """
    if mask == "foreground" or len(centre_mm) != 3:
        raise ValueError(
            "Expected a mask of the brain, `nonzero` or `<pipeline>/<suffix>`, and three"
            f" coordinates of its centre, got {mask!r} and {centre_mm}."
        )
    x, y, z = (float(v) for v in centre_mm)
    recipe = conform_recipe(voxel_size_mm, shape, mask, storage)
    return recipe._replace(centre_mm=(x, y, z))


RECIPES = {"conform": conform_recipe, "registered": registered_recipe}
