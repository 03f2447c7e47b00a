"""What is worth knowing about a scan that is used: notes for the report, by kind."""

from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from fedbrain.data.nifti import Volume
from fedbrain.data.recipes import Recipe
from fedbrain.data.scan_report import WITHOUT_SKULL

VERSION = 1  # part of every cache fingerprint: raise it when a note changes

# All arbitrary, outside what whole-brain scans show.
FEWEST_SLICES = 10  # along each axis
SMALLEST_SHARE_OF_FIELD = 0.25  # of the prepared field of view, along each axis
BRAIN_SHARE = (0.01, 0.6)  # of an image; a brain fills half of the tightest box around it
FAINT = 1e-3  # of the brightest voxels: ringing of an interpolation, not brain
FAINT_SHARE = 0.05  # of the brain
BRAIN_ML = 2200.0  # the largest brains, with the fluid around them; a head has 3 litres and more
BLANK_FACES = 0.9  # of the voxels on the six faces of a brain-extracted image have one value


def notes_of(
    path: Path, volume: Volume, recipe: Recipe, brain: Bool[np.ndarray, "x y z"] | None
) -> dict[str, str]:
    """Kind -> a sentence that names the file.

    Args:
      path: of the image.
      volume: as it was read.
      recipe: how it is prepared.
      brain: its mask, where the recipe takes one from a file.
    """
    notes = dict(volume.notes)
    if volume.non_finite and "NaN as background" not in notes:
        notes["non-finite voxels"] = f"{volume.non_finite} voxels were NaN or infinite and became 0"
    if not volume.oriented:
        notes["no orientation in the header"] = (
            "neither sform nor qform is set; LAS order was assumed"
        )
    notes |= _few_slices(volume, recipe)
    notes |= _without_skull(volume)
    if recipe.mask == "nonzero":
        notes |= _not_extracted(volume.data)
    elif brain is not None:
        notes |= _share_of_brain(brain)
    return {kind: f"{path}: {sentence}." for kind, sentence in notes.items()}


def _few_slices(volume: Volume, recipe: Recipe) -> dict[str, str]:
    slices = np.asarray(volume.data.shape)
    field_mm = recipe.voxel_size_mm * np.asarray(recipe.shape)
    covered = slices * np.asarray(volume.voxel_size_mm) / field_mm
    if slices.min() >= FEWEST_SLICES and covered.min() >= SMALLEST_SHARE_OF_FIELD:
        return {}
    return {
        "too few slices": f"{slices.min()} slices along one axis cover"
        f" {min(1.0, covered.min()):.0%} of the prepared field of view (a localizer?)"
    }


def _without_skull(volume: Volume) -> dict[str, str]:
    """Whether an image holds a brain alone: blank around it, and no larger than a brain."""
    blank, share = _blank(volume.data)
    faint = FAINT * max(abs(float(volume.data.min())), abs(float(volume.data.max())))
    brighter, darker = volume.data > blank + faint, volume.data < blank - faint
    voxels = np.count_nonzero(brighter) + np.count_nonzero(darker)
    ml = float(voxels * np.prod(volume.voxel_size_mm) / 1000)
    if share < BLANK_FACES or ml > BRAIN_ML:
        return {}
    return {WITHOUT_SKULL: f"{ml:.0f} ml are not background"}


def _blank(data: Float[np.ndarray, "x y z"]) -> tuple[float, float]:
    """(the commonest value on the six faces, its share of them)."""
    faces = np.concatenate([np.take(data, [0, -1], axis).ravel() for axis in range(3)])
    values, counts = np.unique(faces, return_counts=True)
    return float(values[counts.argmax()]), float(counts.max() / faces.size)


def _share_of_brain(brain: Bool[np.ndarray, "x y z"]) -> dict[str, str]:
    share, (least, most) = float(brain.mean()), BRAIN_SHARE
    if least <= share <= most:
        return {}
    return {
        "implausible brain mask": f"the mask covers {share:.1%} of the image; a brain covers"
        f" {least:.0%} to {most:.0%}"
    }


def _not_extracted(data: Float[np.ndarray, "x y z"]) -> dict[str, str]:
    """Signs that 0 is not the background of an image."""
    notes = _share_of_brain(data != 0)
    commonest, part = _blank(data)
    if commonest != 0 and part > 0.5:
        notes["background that is not 0"] = (
            f"the background is {commonest:g}, and mask='nonzero' takes it for brain; set it to 0"
        )
    grey = np.abs(data[data != 0])
    faint = float((grey < FAINT * np.percentile(grey, 99)).mean())
    if faint > FAINT_SHARE:
        notes["faint voxels taken for brain"] = (
            f"{faint:.0%} of the voxels that are not 0 are nearly 0; interpolation leaves such"
            " ringing around a brain"
        )
    return notes
