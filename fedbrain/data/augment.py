"""Random changes of a training image that leave its label true."""

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy import ndimage

from fedbrain.data.geometry import rotation

Image = Float[np.ndarray, "d h w"]
Augment = Callable[[Image, np.random.Generator], Image]


def none() -> Augment:
    """No augmentation."""
    return lambda image, rng: image


def augment(
    flip: bool = True, shift: int = 2, rotate_deg: float = 0.0, scale: float = 0.0, intensity: float = 0.0
) -> Augment:
    """Mirror, shift, small rotation and scaling, and grey values.

    Args:
      flip: mirrors left and right (axis 0 in RAS) in half of the cases.
      shift: up to so many voxels along each axis; beyond the edge the edge goes on. Peng et al. (2021) use 2.
      rotate_deg: up to so many degrees about each axis.
      scale: relative size up to 1 +- scale.
      intensity: grey values times 1 +- intensity, plus +- intensity (images are z-scored).
    """
    if shift < 0 or rotate_deg < 0 or not 0 <= scale < 1 or not 0 <= intensity < 1:
        raise ValueError(
            f"Expected shift, rotate_deg >= 0 and 0 <= scale, intensity < 1, got {shift, rotate_deg, scale, intensity}."
        )

    def apply(image: Image, rng: np.random.Generator) -> Image:
        if flip and rng.random() < 0.5:
            image = image[::-1]
        move = rng.integers(-shift, shift, 3, endpoint=True)
        if rotate_deg or scale:
            matrix = rotation(np.deg2rad(rng.uniform(-rotate_deg, rotate_deg, 3))) * (1 + rng.uniform(-scale, scale))
            centre = (np.asarray(image.shape) - 1) / 2
            offset: Any = centre - matrix @ centre + move
            image = ndimage.affine_transform(image, matrix, offset, order=1, mode="nearest", prefilter=False)
        elif shift:
            image = _shift(image, move)
        if intensity:
            gain, lift = rng.uniform(-intensity, intensity, 2)
            image = image * np.float32(1 + gain) + np.float32(lift)
        return np.ascontiguousarray(image, np.float32)

    return apply


def _shift(image: Image, move: np.ndarray) -> Image:
    for axis, n in enumerate(move):
        index = np.clip(np.arange(image.shape[axis]) + n, 0, image.shape[axis] - 1)
        image = image.take(index, axis)
    return image


AUGMENTS = {"none": none, "augment": augment}
