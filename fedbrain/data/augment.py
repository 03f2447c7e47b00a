"""Random changes of a training image that leave its label true.

They are drawn on the host, and applied on the host or on the device
(`fedbrain.training.device_volumes`).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from scipy import ndimage

from fedbrain.data.geometry import rotation

Image = Float[np.ndarray, "d h w c"]


class Change(NamedTuple):
    """The changes of one image, in this order.

    Modalities move together; their grey values change one by one. A modality that is 0 everywhere
    is missing, and stays so.
    """

    drop: np.ndarray  # [] bool: one modality is set to 0, where there are several
    rank: np.ndarray  # [c] float32: the modality of highest rank is dropped
    flip: np.ndarray  # [] bool: along axis 0, left and right in RAS
    move: np.ndarray  # [3] int32, voxels; beyond the edge, edge voxels are repeated
    matrix: np.ndarray  # [3, 3] float32: voxel x is read at matrix x + offset
    offset: np.ndarray  # [3] float32, voxels; includes `move` and the centre of rotation
    gain: np.ndarray  # [c] float32: grey values become gain * grey + lift
    lift: np.ndarray  # [c] float32


class Augment(NamedTuple):
    """How changes are drawn."""

    draw: Callable[[tuple[int, ...], np.random.Generator], Change]  # of the image's shape
    turns: bool  # images are interpolated; otherwise `matrix` and `offset` are not used


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
      shift: up to so many voxels along each axis; beyond the edge, edge voxels are repeated. Peng
        et al. (2021) use 2.
      rotate_deg: up to so many degrees about each axis.
      scale: relative size up to 1 +- scale.
      intensity: grey values times 1 +- intensity, plus +- intensity (images are z-scored).
      modality_dropout: probability that an image of several modalities loses one, so that the
        network learns to do without it.
    """
    if not 0 <= modality_dropout <= 1:
        raise ValueError(f"Expected 0 <= modality_dropout={modality_dropout} <= 1.")
    if shift < 0 or rotate_deg < 0 or not 0 <= scale < 1 or not 0 <= intensity < 1:
        raise ValueError(
            "Expected shift, rotate_deg >= 0 and 0 <= scale, intensity < 1, got "
            f"{shift, rotate_deg, scale, intensity}."
        )
    turns = bool(rotate_deg or scale)

    def draw(shape: tuple[int, ...], rng: np.random.Generator) -> Change:
        mirrored = flip and rng.random() < 0.5
        move = rng.integers(-shift, shift, 3, endpoint=True)
        matrix = np.eye(3)
        offset = np.zeros(3)
        if turns:
            angles = np.deg2rad(rng.uniform(-rotate_deg, rotate_deg, 3))
            matrix = rotation(angles) * (1 + rng.uniform(-scale, scale))
            centre = (np.asarray(shape[:3]) - 1) / 2
            offset = centre - matrix @ centre + move
        gain = lift = np.zeros(shape[3])
        if intensity:
            gain, lift = rng.uniform(-intensity, intensity, (2, shape[3]))
        drop = rng.random() < modality_dropout
        rank = rng.random(shape[3], np.float32)
        floats = (np.asarray(x, np.float32) for x in (matrix, offset, 1 + gain, lift))
        return Change(np.asarray(drop), rank, np.asarray(mirrored), move.astype(np.int32), *floats)

    return Augment(draw, turns)


def present(image: Image) -> Float[np.ndarray, " c"]:
    """1 for every modality that is there, 0 for one that is 0 everywhere.

    >>> present(np.stack([np.ones((4, 4, 4)), np.zeros((4, 4, 4))], axis=-1))
    array([1., 0.], dtype=float32)
    """
    return np.asarray(image.any((0, 1, 2)), np.float32)


def apply(image: Image, change: Change, *, turns: bool) -> Image:
    """The changed image; `fedbrain.training.device_volumes.changed` is the same on the device.

    Args:
      image: prepared.
      change: to make.
      turns: of the `Augment` that has drawn the change.
    """
    kept = present(image) if image.shape[3] > 1 else np.ones(1, np.float32)
    if change.drop and kept.sum() > 1:
        kept[np.argmax(np.where(kept > 0, change.rank, -1))] = 0
    if change.flip:
        image = image[::-1]
    if turns:
        image = _rotate(image, change)
    elif change.move.any():
        image = _shift(image, change.move)
    if (change.gain != 1).any() or change.lift.any() or not kept.all():
        image = (image * change.gain + change.lift) * kept
    return np.ascontiguousarray(image, np.float32)


def _rotate(image: Image, change: Change) -> Image:
    """Every modality at matrix x + offset, by linear interpolation."""
    offset: Any = change.offset
    channels = [
        ndimage.affine_transform(
            channel, change.matrix, offset, order=1, mode="nearest", prefilter=False
        )
        for channel in np.moveaxis(image, -1, 0)
    ]
    return np.stack(channels, axis=-1)


def _shift(image: Image, move: np.ndarray) -> Image:
    for axis, n in enumerate(move):
        index = np.clip(np.arange(image.shape[axis]) + n, 0, image.shape[axis] - 1)
        image = image.take(index, axis)
    return image


AUGMENTS = {"none": none, "augment": augment}
