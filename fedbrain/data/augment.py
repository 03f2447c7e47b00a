"""Random changes of a training image that leave its label true: drawn here, applied here or on the
device.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from scipy import ndimage

from fedbrain.data.geometry import rotation

Image = Float[
    np.ndarray, "d h w c"
]  # modalities move together, their grey values change one by one


class Change(NamedTuple):
    """What happens to one image: a modality lost, mirrored, read at `matrix` x + `offset` or
    shifted, gain * grey + lift.

    A modality that is 0 everywhere is missing, and stays so.
    """

    drop: (
        np.ndarray
    )  # [] bool: of several modalities that are there, the one of highest `rank` is lost
    rank: np.ndarray  # [c] float32
    flip: np.ndarray  # [] bool: along axis 0, left and right in RAS
    move: np.ndarray  # [3] int32, voxels; beyond the edge the edge goes on
    matrix: np.ndarray  # [3, 3] float32
    offset: np.ndarray  # [3] float32, voxels; `move` and the centre of the turn
    gain: np.ndarray  # [c] float32
    lift: np.ndarray  # [c] float32


class Augment(NamedTuple):
    """How changes are drawn."""

    draw: Callable[[tuple[int, ...], np.random.Generator], Change]  # shape of the image
    turns: (
        bool  # whether images are read between voxels; otherwise `matrix` and `offset` mean nothing
    )


def none() -> Augment:
    """No augmentation."""
    return augment(flip=False, shift=0)


def augment(
    flip: bool = True,
    shift: int = 2,
    rotate_deg: float = 0.0,
    scale: float = 0.0,
    intensity: float = 0.0,
    modality_dropout: float = 0.0,
) -> Augment:
    """Mirror, shift, small rotation and scaling, and grey values.

    Args:
      flip: mirrors left and right (axis 0 in RAS) in half of the cases.
      shift: up to so many voxels along each axis; beyond the edge the edge goes on. Peng et al.
        (2021) use 2.
      rotate_deg: up to so many degrees about each axis.
      scale: relative size up to 1 +- scale.
      intensity: grey values times 1 +- intensity, plus +- intensity (images are z-scored).
      modality_dropout: chance that an image of several modalities loses one, so that the network
        can do without.
    """
    if not 0 <= modality_dropout <= 1:
        raise ValueError(f"Expected 0 <= modality_dropout={modality_dropout} <= 1.")
    if shift < 0 or rotate_deg < 0 or not 0 <= scale < 1 or not 0 <= intensity < 1:
        raise ValueError(
            "Expected shift, rotate_deg >= 0 and 0 <= scale, intensity < 1, got"
            f" {shift, rotate_deg, scale, intensity}."
        )
    turns = bool(rotate_deg or scale)

    def draw(shape: tuple[int, ...], rng: np.random.Generator) -> Change:
        mirrored = flip and rng.random() < 0.5
        move = rng.integers(-shift, shift, 3, endpoint=True)
        matrix, offset = np.eye(3), np.zeros(3)
        if turns:
            matrix = rotation(np.deg2rad(rng.uniform(-rotate_deg, rotate_deg, 3))) * (
                1 + rng.uniform(-scale, scale)
            )
            centre = (np.asarray(shape[:3]) - 1) / 2
            offset = centre - matrix @ centre + move
        gain, lift = (
            rng.uniform(-intensity, intensity, (2, shape[3]))
            if intensity
            else np.zeros((2, shape[3]))
        )
        floats = (np.asarray(x, np.float32) for x in (matrix, offset, 1 + gain, lift))
        drop, rank = rng.random() < modality_dropout, rng.random(shape[3], np.float32)
        return Change(np.asarray(drop), rank, np.asarray(mirrored), move.astype(np.int32), *floats)

    return Augment(draw, turns)


def present(image: Image) -> Float[np.ndarray, " c"]:
    """1 for every modality that is there: a prepared image is nowhere 0 everywhere."""
    return np.asarray(image.any((0, 1, 2)), np.float32)


def apply(image: Image, change: Change, *, turns: bool) -> Image:
    """The changed image, on the host; `fedbrain.training.device_volumes.changed` is the same on the
    device.
    """
    there = present(image) if image.shape[3] > 1 else np.ones(1, np.float32)
    if change.drop and there.sum() > 1:
        there[np.argmax(np.where(there > 0, change.rank, -1))] = 0
    if change.flip:
        image = image[::-1]
    if turns:
        offset: Any = change.offset
        turn = partial(
            ndimage.affine_transform,
            matrix=change.matrix,
            offset=offset,
            order=1,
            mode="nearest",
            prefilter=False,
        )
        image = np.stack([turn(channel) for channel in np.moveaxis(image, -1, 0)], axis=-1)
    elif change.move.any():
        image = _shift(image, change.move)
    if (change.gain != 1).any() or change.lift.any() or not there.all():
        image = (image * change.gain + change.lift) * there
    return np.ascontiguousarray(image, np.float32)


def _shift(image: Image, move: np.ndarray) -> Image:
    for axis, n in enumerate(move):
        index = np.clip(np.arange(image.shape[axis]) + n, 0, image.shape[axis] - 1)
        image = image.take(index, axis)
    return image


AUGMENTS = {"none": none, "augment": augment}
