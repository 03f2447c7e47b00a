"""Brain masks of a derivative: which mask belongs to which image, and what counts as brain."""

from pathlib import Path

import numpy as np
from jaxtyping import Bool

from fedbrain.data.bids import Scan, find_scans, parse_name
from fedbrain.data.nifti import Volume, read_volume
from fedbrain.data.nifti_file import ImageError
from fedbrain.data.nifti_header import corners_apart
from fedbrain.data.recipes import Recipe

WITHOUT_FILE = ("foreground", "nonzero")  # recipes whose mask is made from the image
ABOUT_THE_MASK = ("desc", "label", "mod", "atlas", "seg")  # entities that images do not share
GRID = ("space", "res", "den", "cohort")  # entities of a grid: absent means the scanner's
NATIVE_SPACES = ("orig", "native", "individual", "T1w", "scanner", "subject")
SHIFT_IN_VOXELS = 0.1  # a mask's grid may be this far from its image's: rounding in headers


class Masks:
    """The masks that a recipe names, for the images of one tree."""

    def __init__(self, root: Path, recipe: Recipe):
        self.recipe = recipe
        self.named: dict[str, str] = {}  # entities that the user chose
        self.by_session: dict[str, list[Scan]] = {}
        if recipe.mask not in WITHOUT_FILE:
            pipeline, _, pattern = recipe.mask.partition("/")
            self.named = parse_name(pattern)[0]
            for mask in find_scans(root, pattern, pipeline=pipeline):
                self.by_session.setdefault(mask.id, []).append(mask)

    def of(self, scan: Scan) -> Path | None:
        """The mask of an image; None where the recipe needs no file.

        Entities must agree: a mask in a space, of a run or an acquisition belongs to images of that
        space, run or acquisition. A mask without a run belongs to all runs of its session. An
        entity that the recipe names must only not contradict the image.

        Raises:
          ImageError: when there is no such mask, or several.
        """
        if self.recipe.mask in WITHOUT_FILE:
            return None
        there = self.by_session.get(scan.id, [])
        fitting = [mask for mask in there if self._fits(mask, scan)]
        most = max((_common(mask, scan) for mask in fitting), default=0)
        best = [mask for mask in fitting if _common(mask, scan) == most]
        if len(best) == 1:
            return best[0].path
        where = f"{scan.path}: expected a mask in derivatives/{self.recipe.mask}"
        if best:
            names = " and ".join(mask.path.name for mask in best[:2])
            raise ImageError(
                f"{where}, got several for this image: {names}. Name entities: PIPELINE/desc-brain"
                "_mask."
            )
        others = f"none for this image, but {there[0].path.name}" if there else "none"
        raise ImageError(f"{where}, got {others}.")

    def _fits(self, mask: Scan, scan: Scan) -> bool:
        theirs, ours = _places(mask), _places(scan)
        chosen = {key for key in self.named if key not in ours}
        theirs = {key: value for key, value in theirs.items() if key not in chosen}
        same_grid = all(theirs.get(key) == ours.get(key) for key in GRID if key not in chosen)
        of_this_image = dict(mask.entities).get("mod", "") in ("", parse_name(scan.path.name)[1])
        return of_this_image and same_grid and theirs.items() <= ours.items()


def _places(scan: Scan) -> dict[str, str]:
    """Entities that say which image it is and on which grid."""
    entities = {k: v for k, v in scan.entities if k not in ABOUT_THE_MASK}
    if entities.get("space") in NATIVE_SPACES:
        del entities["space"]
    return entities


def _common(mask: Scan, scan: Scan) -> int:
    return len(_places(mask).items() & _places(scan).items())


def read_mask(path: Path, volume: Volume) -> Bool[np.ndarray, "x y z"]:
    """Where the brain is: labels above 0, or probabilities above a half.

    Raises:
      ImageError: when the mask cannot be read or is not on the image's grid.
    """
    labels = read_volume(path, labels=True)
    shape = volume.data.shape
    same = labels.data.shape == shape
    apart = corners_apart(labels.affine, volume.affine, shape) if same else np.inf
    if apart > SHIFT_IN_VOXELS * min(volume.voxel_size_mm):
        how = f"or another affine, {apart:.2f} mm away" if same else f"{labels.data.shape}"
        raise ImageError(
            f"{path}: expected the grid of its scan {shape}, got {how}. Resample the mask."
        )
    probability = labels.data.max() <= 1 and not np.isin(labels.data, (0, 1)).all()
    return labels.data > (0.5 if probability else 0)
