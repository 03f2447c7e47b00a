"""From a person and a scanner to a brain-extracted volume, T1-weighted or FLAIR."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy import ndimage

from fedbrain.data.geometry import rotation
from fedbrain.data.synthetic.anatomy import VOXEL_MM, Tissues, atlas, grow_old
from fedbrain.data.synthetic.people import Person, Scanner

FIELD_MM = (192.0, 216.0, 192.0)  # right-left, front-back, up-down
Grid = Float[np.ndarray, "x y z"]


class Grey(NamedTuple):
    """Mean grey values of tissues."""

    csf: float | np.float32
    gm: float | np.float32
    wm: float | np.float32
    lesion: float | np.float32


class Scanned(NamedTuple):
    """A synthetic scan in RAS order, brain-extracted."""

    data: Grid  # float32, 0 outside the brain
    voxel_size_mm: tuple[float, float, float]
    lesions: Grid | None  # fraction of each voxel, on the atlas grid


def _t1w(scanner: Scanner, age_years: float) -> Grey:
    # White matter darkens: its contrast to grey matter falls by a sixth from 20 to 80 years.
    wm = scanner.wm - (scanner.wm - scanner.gm) * 0.17 * (age_years - 20) / 60
    return Grey(scanner.csf, scanner.gm, wm, 0.8 * scanner.gm)


def _flair(scanner: Scanner, age_years: float) -> Grey:
    del age_years  # the contrast between grey and white matter is small anyway
    return Grey(0.1 * scanner.wm, 0.8 * scanner.wm, 0.65 * scanner.wm, 1.3 * scanner.wm)


MODALITIES: dict[str, Callable[[Scanner, float], Grey]] = {"T1w": _t1w, "FLAIR": _flair}


def render(person: Person, scanner: Scanner, modality: str = "T1w") -> Scanned:
    """A scan of a person, determined by `person.seed`.

    All modalities show the same head in the same place.

    Args:
      person: see `Person`.
      scanner: see `Scanner`.
      modality: T1w or FLAIR.
    """
    rng = np.random.default_rng(person.seed)
    tissues = grow_old(person.gm, person.ventricles)
    grey = Grey(*(np.float32(x) for x in MODALITIES[modality](scanner, person.age_years)))
    image = tissues.csf * grey.csf + tissues.gm * grey.gm + tissues.wm * grey.wm
    lesions = _lesions(person, tissues, rng) if person.lesion_ml else None
    if lesions is not None:
        image += lesions * (grey.lesion - image)

    shape = tuple(round(f / v) for f, v in zip(FIELD_MM, scanner.voxel_size_mm))
    coordinates = _pose(person, rng, shape, scanner.voxel_size_mm)
    blur = scanner.blur_mm / VOXEL_MM
    blurred = ndimage.gaussian_filter(image, blur)
    image = ndimage.map_coordinates(blurred, coordinates, order=1, output=np.float32)
    brain = ndimage.map_coordinates(atlas().brain, coordinates, order=1, output=np.float32) > 0.5
    rng = rng if modality == "T1w" else np.random.default_rng([person.seed, 1])
    image *= _shading(rng, shape, scanner.bias)
    noise = np.float32(scanner.wm / scanner.snr)
    real = image + noise * rng.standard_normal(shape, np.float32)
    imaginary = noise * rng.standard_normal(shape, np.float32)
    return Scanned(np.hypot(real, imaginary) * brain, scanner.voxel_size_mm, lesions)


def _pose(
    person: Person, rng: np.random.Generator, shape: tuple[int, ...], voxel_mm: tuple[float, ...]
) -> np.ndarray:
    """Atlas coordinates [3, *shape] of each voxel.

    They hold the person's head size, a small rotation and shift, and a smooth warp of about 2 mm.
    """
    a = atlas()
    size = (person.icv_ml * 1000 / (a.brain.sum() * VOXEL_MM**3)) ** (1 / 3)
    angles = rng.normal(0, np.deg2rad(3), 3)
    scale = size * np.exp(rng.normal(0, 0.02, 3))
    matrix = rotation(angles) / scale * np.asarray(voxel_mm) / VOXEL_MM
    shift = rng.normal(0, 1.0, 3)
    axes = [np.arange(n, dtype=np.float32) - (n - 1) / 2 for n in shape]
    grid = [axes[0][:, None, None], axes[1][None, :, None], axes[2][None, None, :]]
    centre = (np.asarray(a.brain.shape) - 1) / 2 + shift
    out = np.empty((3, *shape), np.float32)
    for k in range(3):
        linear = [np.float32(matrix[k, m]) * grid[m] for m in range(3)]
        waves = []
        for m in range(3):
            frequency = rng.uniform(0.5, 1.5)
            phase = rng.uniform(0, 2 * np.pi)
            wave = np.sin(2 * np.pi * frequency * grid[m] / shape[m] + phase)
            waves.append(wave.astype(np.float32))
        warp = np.float32(0.7) * waves[0] * waves[1] * waves[2]
        out[k] = linear[0] + linear[1] + linear[2] + np.float32(centre[k]) + warp
    return out


def _shading(rng: np.random.Generator, shape: tuple[int, ...], amplitude: float) -> np.ndarray:
    """A smooth positive field around 1: a product of parabolas along the axes."""
    field = np.ones((1, 1, 1), np.float32)
    for axis, n in enumerate(shape):
        x = np.linspace(-1, 1, n)
        curve = np.exp(amplitude * (rng.normal() * x + rng.normal() * (x**2 - 0.33)) / 2)
        field = field * curve.astype(np.float32).reshape([-1 if k == axis else 1 for k in range(3)])
    return field


def _lesions(person: Person, tissues: Tissues, rng: np.random.Generator) -> Grid:
    """Blobs in white matter, mostly around the ventricles, of `person.lesion_ml` in all."""
    a = atlas()
    prior = (tissues.wm * np.exp(-np.clip(a.ventricle_mm, 0, None) / 10)).astype(np.float64)
    voxels = person.lesion_ml / person.icv_ml * a.brain.sum()
    count = max(3, round(voxels / 2))
    places = rng.choice(prior.size, count, p=(prior / prior.sum()).ravel())
    seeds = np.zeros(prior.size, np.float32)
    np.add.at(seeds, places, rng.lognormal(0, 1, count).astype(np.float32))
    smooth = ndimage.gaussian_filter(seeds.reshape(prior.shape), 1.0) * (tissues.wm > 0.3)
    low, high = 0.0, 1e4
    for _ in range(20):  # bisection on the gain: the volume grows with it
        gain = np.sqrt(max(low, 1e-3) * high)
        low, high = (gain, high) if np.clip(gain * smooth, 0, 1).sum() < voxels else (low, gain)
    return np.clip(high * smooth, 0, 1).astype(np.float32)
