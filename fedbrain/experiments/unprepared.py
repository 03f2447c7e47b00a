"""Whole heads in the place of brains in MNI space: they are not predicted.

A model that was trained on registered brains gives a number for any image. For a head with its
skull that number means nothing.
"""

from collections.abc import Mapping
from pathlib import Path

from fedbrain.data.dataset import Scans, Volumes, take
from fedbrain.data.prepared_file import read_notes
from fedbrain.data.recipes import Recipe
from fedbrain.data.scan_report import WITHOUT_SKULL, Report

REASON = "head that is not prepared"


def _is_head(recipe: Recipe, notes: Mapping[str, str]) -> bool:
    """Whether the model wants registered brains and the image has more than a brain in it."""
    registered = recipe.centre_mm is not None
    return registered and recipe.mask == "nonzero" and WITHOUT_SKULL not in notes


def _sentence(path: Path) -> str:
    return (
        f"{path}: expected a brain without skull in MNI space, as the model was trained on, got an"
        " image with a skull or another background than 0. Run `fedbrain prepare` on the raw scans,"
        " and predict with --pipeline=fedbrain."
    )


def require_brain(path: Path, recipe: Recipe, notes: Mapping[str, str]) -> None:
    """Raises ValueError for a head where the model wants registered brains.

    Args:
      path: of the image.
      recipe: of the model.
      notes: on the image, by reason.
    """
    if _is_head(recipe, notes):
        raise ValueError(_sentence(path))


def leave_heads_out(scans: Scans, recipe: Recipe, report: Report) -> Scans:
    """The scans without heads, where the model wants registered brains.

    Args:
      scans: of a tree, with prepared volumes on disk.
      recipe: of the model.
      report: gets the sentences.
    """
    volumes, kept = scans.volumes, []
    assert isinstance(volumes, Volumes)  # of a tree
    for i, (name, paths) in enumerate(zip(scans.ids, volumes.paths)):
        first = paths[0]
        assert first is not None  # the first modality is always there
        if _is_head(recipe, read_notes(first, recipe.shape)):
            report.leave_out(REASON, _sentence(Path(name)))
        else:
            kept.append(i)
    report.kept = len(kept)
    return scans if len(kept) == len(scans) else take(scans, kept)
