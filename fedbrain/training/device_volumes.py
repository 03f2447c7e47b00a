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
CHANGE = (
    "drop",
    "rank",
    "flip",
    "move",
    "matrix",
    "offset",
    "gain",
    "lift",
)  # fields of data.augment.Change
STEPS = (
    25.0  # of uint8 in a standard deviation: prepared volumes are clipped to +- 5, and 0 stays 0
)


class Residence(NamedTuple):
    """Where training volumes are."""

    dtype: (
        str | None
    )  # of the volumes on the device; None: they stream from the host, batch by batch

    @property
    def itemsize(self) -> int:
        """Bytes of a voxel on the device."""
        return jnp.dtype(self.dtype).itemsize if self.dtype else 0


def streamed() -> Residence:
    """Batches come from the host while the device computes: data of any size."""
    return Residence(None)


def resident(dtype: str = "bfloat16") -> Residence:
    """All training volumes of a federation lie on the device.

    Args:
      dtype: float32, bfloat16 (relative rounding 2^-9) or uint8 (steps of .04 standard deviations).
    """
    if dtype not in ("float32", "bfloat16", "uint8"):
        raise ValueError(f"Expected dtype='float32', 'bfloat16' or 'uint8', got {dtype!r}.")
    return Residence(dtype)


RESIDENCES = {"streamed": streamed, "resident": resident}


def store(volumes: Float[Array, "n d h w c"], dtype: str) -> Stored:
    """Volumes in the type in which they lie on the device."""
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
    """`data.augment.apply` on the device."""
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
    """The batch that a reference means; masked examples are zero, as when streamed."""

    def one(index: Array, mask: Array, change: Mapping[str, Array]) -> Array:
        return jnp.where(mask > 0, changed(_restored(volumes[index]), change, turns=turns), 0)

    told = {name: jnp.asarray(value) for name, value in reference.items()}
    image = jax.vmap(one)(told["index"], told["mask"], {name: told[name] for name in CHANGE})
    batch = {"image": image, "target": told["target"], "mask": told["mask"]}
    columns = [told["covariates"]] if "covariates" in told else []
    if image.shape[-1] > 1:
        columns.append(image.any((1, 2, 3)).astype(jnp.float32))
    return {**batch, "covariates": jnp.concatenate(columns, axis=1)} if columns else batch
