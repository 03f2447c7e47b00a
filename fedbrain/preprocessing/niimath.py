"""Runs niimath: N4 and affine registration, in a process of its own.

References:
  https://github.com/rordenlab/niimath
  N4: Tustison et al. (2010), https://doi.org/10.1109/TMI.2010.2046908
"""

import importlib.metadata
import json
import re
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from jaxtyping import Float

from fedbrain.data.nifti_file import ImageError

LIMIT_S = 1800  # of one step on one scan; arbitrary: a hundred times what steps take
PLAIN = ("-p", "1", "-gz", "0")  # one core; files that are not packed
STEPS = ("-n4", "-allineate")  # named when they fail
INSTALL = "Install the extra, in a clone of fedbrain: pip install -e '.[prepare]'."


class ScratchError(ValueError):
    """Files on the way to a prepared scan that cannot be written: no scan's fault.

    Args:
      reason: what the system says.
    """

    def __init__(self, reason: str):
        super().__init__(
            f"{tempfile.gettempdir()}: files on the way to a prepared scan cannot be written there"
            f" ({reason}). Free space, or choose another folder: TMPDIR=FOLDER fedbrain prepare ..."
        )


def version() -> str:
    """Of the program.

    Raises:
      ValueError: when it is not installed.
    """
    try:
        return importlib.metadata.version("niimath")
    except importlib.metadata.PackageNotFoundError:
        raise ValueError(f"expected the package niimath, got none. {INSTALL}") from None


def run(program: str, *arguments: str | Path) -> None:
    """Runs a program on one scan, on one core.

    Args:
      program: its path.
      arguments: files and options.

    Raises:
      ImageError: with the last line that says something.
      ScratchError: when the program cannot write.
    """
    step = next((str(a) for a in arguments if str(a) in STEPS), "")
    try:
        done = subprocess.run(
            [program, *map(str, arguments)], capture_output=True, text=True, timeout=LIMIT_S
        )
    except subprocess.TimeoutExpired:
        raise ImageError(f"{Path(program).name} {step} did not end in {LIMIT_S} s") from None
    if done.returncode:
        said = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        said = [line for line in said if not re.match(r"Using \d+ threads", line)]
        detail = said[-1] if said else f"exit code {done.returncode}, without a word"
        if "failed to write" in detail:
            raise ScratchError(f"{Path(program).name} failed to write")
        raise ImageError(f"{Path(program).name} {step} failed: {detail}")


def remove_bias_field(image: Path, target: Path) -> None:
    """N4 with its published settings, on the whole image."""
    import niimath

    run(niimath.bin, image, *PLAIN, "-n4", target)


def affine_to(
    moving: Path, fixed: Path, *, weight: Path | None = None, rigid: bool = False
) -> Float[np.ndarray, "4 4"]:
    """The matrix that takes mm of the moving image to mm of the fixed one.

    Args:
      moving: image.
      fixed: image.
      weight: of the voxels of the fixed image, on its grid.
      rigid: of one head, with another contrast: turns and shifts, by mutual information.
    """
    import niimath

    kind = ["-cost", "nmi", "-warp", "sho"] if rigid else []
    heavy = [] if weight is None else ["-weight", weight]
    matrix, resampled = moving.with_suffix(".json"), moving.with_suffix(".registered.nii")
    saved = ["-savemat", matrix, resampled]
    run(niimath.bin, moving, *PLAIN, "-allineate", fixed, *kind, *heavy, *saved)
    resampled.unlink()
    return np.asarray(json.loads(matrix.read_text())["moving_to_fixed"], np.float64)
