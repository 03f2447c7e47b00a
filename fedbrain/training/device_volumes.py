"""Volumes that stay on the device: gathered, made float32 and augmented there, so that a local
epoch is one compiled loop.

A batch is then a reference: places among a client's volumes, targets, a mask, and what to change
(`data.augment.Change`).
"""

from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy import ndimage
from jaxtyping import Array, Float, Shaped

from fedbrain.types import Batch

Stored = Shaped[Array, "n d h w c"]
# fields of data.augment.Change
CHANGE = ("drop", "rank", "flip", "move", "matrix", "offset", "gain", "lift")
# of uint8 in a standard deviation: prepared volumes are clipped to +- 5, and 0 stays 0
STEPS = 25.0


class Residence(NamedTuple):
    """Where training volumes are."""

    # of the volumes on the device; None: they stream from the host, batch by batch
    dtype: str | None

    @property
    def itemsize(self) -> int:
        """Bytes of a voxel on the device."""
        return jnp.dtype(self.dtype).itemsize if self.dtype else 0


def streamed() -> Residence:
    """Batches come from the host while the device computes: data of any size.

    >>> streamed().itemsize
    0
    """
    return Residence(None)


def resident(dtype: str = "bfloat16") -> Residence:
    """All training volumes of a federation lie on the device.

    Args:
      dtype: float32, bfloat16 (relative rounding 2^-9) or uint8 (steps of .04 standard deviations).

    >>> resident("uint8").itemsize
    1
    """
    if dtype not in ("float32", "bfloat16", "uint8"):
        raise ValueError(f"Expected dtype='float32', 'bfloat16' or 'uint8', got {dtype!r}.")
    return Residence(dtype)


RESIDENCES = {"streamed": streamed, "resident": resident}


def store(volumes: Float[Array, "n d h w c"], dtype: str) -> Stored:
    """Volumes in the type in which they lie on the device.

    >>> store(jnp.ones((1, 1, 1, 1, 1)), "uint8").item()
    153
    """
    if dtype == "uint8":
        return jnp.clip(jnp.round(volumes * STEPS) + 128, 0, 255).astype(jnp.uint8)
    return volumes.astype(dtype)


def _restored(volume: Shaped[Array, "d h w c"]) -> Float[Array, "d h w c"]:
    if volume.dtype == jnp.uint8:
        return (volume.astype(jnp.float32) - 128) / STEPS
    return volume.astype(jnp.float32)


def changed(
    image: Float[Array, "d h w c"], change: Mapping[str, Array], *, turns: bool
) -> Float[Array, "d h w c"]:
    """`data.augment.apply` on the device.

    >>> change = {"drop": jnp.array(False), "rank": jnp.zeros(1), "flip": jnp.array(True)}
    >>> change |= {"move": jnp.zeros(3, int), "gain": jnp.full(1, 3.0), "lift": jnp.zeros(1)}
    >>> changed(jnp.arange(2.0).reshape(2, 1, 1, 1), change, turns=False).ravel().tolist()
    [3.0, 0.0]
    """
    there = image.any((0, 1, 2))
    lost = jnp.arange(there.size) == jnp.argmax(jnp.where(there, change["rank"], -1))
    there = there & ~(lost & change["drop"] & (there.sum() > 1))
    image = jnp.where(change["flip"], image[::-1], image)
    if turns:
        places = jnp.stack(jnp.meshgrid(*map(jnp.arange, image.shape[:3]), indexing="ij"))
        places = (
            jnp.tensordot(change["matrix"], places.astype(jnp.float32), 1)
            + change["offset"][:, None, None, None]
        )
        read = partial(ndimage.map_coordinates, coordinates=list(places), order=1, mode="nearest")
        image = jax.vmap(read, in_axes=-1, out_axes=-1)(image)
    else:
        for axis in range(3):
            index = jnp.clip(
                jnp.arange(image.shape[axis]) + change["move"][axis], 0, image.shape[axis] - 1
            )
            image = jnp.take(image, index, axis)
    return (image * change["gain"] + change["lift"]) * there


def fetch(volumes: Stored, reference: Batch, *, turns: bool) -> Batch:
    """The batch that a reference means; masked examples are copies of real ones, as when streamed.

    >>> import numpy as np
    >>> from fedbrain.data.augment import none
    >>> change = none().draw((1, 1, 1, 1), np.random.default_rng(0))._asdict()
    >>> change = {name: np.stack([value, value]) for name, value in change.items()}
    >>> known = {"index": np.array([1, 1]), "target": np.zeros(2), "mask": np.array([1.0, 0.0])}
    >>> volumes = jnp.array([3.0, 7.0]).reshape(2, 1, 1, 1, 1)
    >>> fetch(volumes, {**known, **change}, turns=False)["image"].ravel().tolist()
    [7.0, 7.0]
    """

    def one(index: Array, change: Mapping[str, Array]) -> Array:
        return changed(_restored(volumes[index]), change, turns=turns)

    arrays = {name: jnp.asarray(value) for name, value in reference.items()}
    image = jax.vmap(one)(arrays["index"], {name: arrays[name] for name in CHANGE})
    batch = {"image": image, "target": arrays["target"], "mask": arrays["mask"]}
    columns = [arrays["covariates"]] if "covariates" in arrays else []
    if image.shape[-1] > 1:
        columns.append(image.any((1, 2, 3)).astype(jnp.float32))
    return {**batch, "covariates": jnp.concatenate(columns, axis=1)} if columns else batch
