"""Weights and inputs drawn from names, so that PyTorch and JAX can make the same ones without a
file. Needs numpy only.
"""

import zlib

import numpy as np

SIZE = {"densenet121": 96, "adapted_sfcn": 96}
SEED = 20260313


def rng_for(name: str) -> np.random.Generator:
    """A generator that depends on a name."""
    return np.random.default_rng([SEED, zlib.crc32(name.encode())])


def draw(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """A plausible float32 leaf, in fedbrain's layout, for `norm0/scale`, `conv0/kernel`, ..."""
    rng = rng_for(name)
    leaf = name.rsplit("/", 1)[-1]
    if leaf == "kernel":
        fan_in = int(np.prod(shape[:-1]))
        return (rng.standard_normal(shape) * np.sqrt(2 / fan_in)).astype(np.float32)
    if leaf == "scale":
        return rng.uniform(0.8, 1.2, shape).astype(np.float32)
    if leaf == "var":
        return rng.uniform(0.5, 1.5, shape).astype(np.float32)
    return (0.1 * rng.standard_normal(shape)).astype(np.float32)  # bias, mean


def inputs(model: str) -> tuple[np.ndarray, np.ndarray]:
    """Two images [2 d h w 1] with coarse structure of their own, as brains have, and targets [2].

    On white noise alone gradients before a batch norm cancel to nothing, and any float32 result is
    rounding.
    """
    n = SIZE[model]
    coarse = rng_for("image").standard_normal((2, n // 16, n // 16, n // 16)) + np.asarray(
        [0.0, 1.0]
    ).reshape(2, 1, 1, 1)
    image = coarse.repeat(16, 1).repeat(16, 2).repeat(16, 3) * np.asarray([1.0, 2.0]).reshape(
        2, 1, 1, 1
    )
    image += 0.3 * rng_for("noise").standard_normal(image.shape)
    return image[..., None].astype(np.float32), np.asarray([0.5, -1.0], np.float32)


def projections(name: str, value: np.ndarray, count: int = 3) -> np.ndarray:
    """[norm, v1 . x, v2 . x, ...] with standard normal v: (v . d)^2 has the mean ||d||^2 for any
    difference d.
    """
    rng = rng_for("projection/" + name)
    flat = np.asarray(value, np.float64).ravel()
    return np.asarray(
        [np.linalg.norm(flat), *(rng.standard_normal(flat.size) @ flat for _ in range(count))]
    )
