"""One session: the T1w in MNI space without skull, and other modalities that follow it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import nibabel as nib
import numpy as np
from jaxtyping import Bool, Float

from fedbrain.data.masks import read_mask
from fedbrain.data.nifti import Volume, read_volume
from fedbrain.data.nifti_file import ImageError
from fedbrain.data.peculiar import FEWEST_SLICES
from fedbrain.data.scratch import scratch
from fedbrain.preprocessing import brain, niimath
from fedbrain.preprocessing.quality import BOUNDS, measure, similarity
from fedbrain.preprocessing.recipe import Recipe
from fedbrain.preprocessing.sampling import sample, sample_brain
from fedbrain.preprocessing.template import write_template


class Prepared(NamedTuple):
    """A session on the grid of a recipe."""

    images: dict[str, Float[np.ndarray, "i j k"]]  # suffix -> without skull, 0 outside the brain
    brain: Bool[np.ndarray, "i j k"]
    head: Float[np.ndarray, "i j k"]  # the T1w with its skull, to look at
    to_mni: Float[np.ndarray, "4 4"]  # mm of the T1w's scanner -> mm in MNI space
    quality: dict[str, float]  # see `quality.measure`


def prepare_session(
    image: Path, recipe: Recipe, *, mask: Path | None, others: Mapping[str, Path]
) -> Prepared:
    """Prepares one session, in a folder of its own that is removed afterwards.

    Args:
      image: the T1w.
      recipe: see `Recipe`.
      mask: of the brain, where the recipe names one of another pipeline.
      others: suffix -> image of the same session.

    Raises:
      ImageError: for an image that cannot be read, or a step that fails.
      ScratchError: when files on the way cannot be written.
    """
    with _scratch() as folder:
        volume = read_volume(image)
        require_slices(image, volume)
        own_mask = None if mask is None else read_mask(mask, volume)
        flat, flat_path = _without_bias_field(volume, folder / "T1w.nii")
        moved = register(flat, flat_path, folder)
        registered = brain.Registered(flat_path, flat.data, moved @ flat.affine)
        found = own_mask if own_mask is not None else brain.METHODS[recipe.brain].find(registered)
        images, inside = {}, np.zeros(recipe.grid.shape, bool)
        images["T1w"], inside = sample_brain(flat.data, found, registered.to_mni, recipe.grid)
        for suffix, path in others.items():
            other, other_path = _without_bias_field(read_volume(path), folder / f"{suffix}.nii")
            onto = niimath.affine_to(other_path, flat_path, rigid=True)
            sampled = sample(other.data, moved @ onto @ other.affine, recipe.grid)
            images[suffix] = np.where(inside, np.maximum(sampled, 0), np.float32(0))
        return Prepared(
            images=images,
            brain=inside,
            head=sample(flat.data, registered.to_mni, recipe.grid),
            to_mni=moved,
            quality=measure(flat, found, registered.to_mni),
        )


@contextmanager
def _scratch() -> Iterator[Path]:
    """A folder for files on the way; images are read by functions that raise ImageError."""
    try:
        with scratch() as folder:
            yield folder
    except OSError as error:
        raise niimath.ScratchError(error.strerror or str(error)) from None


def require_slices(path: Path, volume: Volume) -> None:
    """Refuses an image that is no whole head.

    Args:
      path: of the image.
      volume: as it was read.

    Raises:
      ImageError: for one of fewer slices along an axis than any scan of a head has.
    """
    slices = volume.data.shape
    if min(slices) < FEWEST_SLICES:
        raise ImageError(
            f"{path}: expected a head of at least {FEWEST_SLICES} slices along every axis, got"
            f" {' x '.join(map(str, slices))} voxels (a localizer?). Exclude the scan."
        )


def register(volume: Volume, path: Path, folder: Path) -> Float[np.ndarray, "4 4"]:
    """mm of the scanner -> mm in MNI space.

    The weight of the brain makes most registrations better and now and then takes a head for a
    brain: where the result would not pass, the one without it is tried, and the more similar wins.

    Args:
      volume: without bias field.
      path: of its file.
      folder: for files on the way.
    """
    head, weight = write_template(folder)
    moved = niimath.affine_to(path, head, weight=weight)
    reached = similarity(volume.data, moved @ volume.affine)
    if reached >= BOUNDS["similarity"].look_below:
        return moved
    other = niimath.affine_to(path, head)
    return other if similarity(volume.data, other @ volume.affine) > reached else moved


def _without_bias_field(volume: Volume, path: Path) -> tuple[Volume, Path]:
    """(the image without bias field, its file)."""
    raw = path.with_suffix(".raw.nii")
    low = volume.data.min()  # N4 takes logarithms
    shifted = volume.data - low if low < 0 else volume.data
    nib.save(nib.Nifti1Image(shifted, volume.affine), raw)  # pyright: ignore
    niimath.remove_bias_field(raw, path)
    raw.unlink()
    data = np.asarray(nib.load(path).dataobj, np.float32)  # pyright: ignore
    return volume._replace(data=data), path
