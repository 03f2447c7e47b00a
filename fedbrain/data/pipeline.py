"""Batches by grain: shuffled, augmented and padded to one shape.

A batch is a function of (seed, round, client, step) alone.
"""

import os
import zlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import grain
import numpy as np

from fedbrain.data.augment import Change, apply, present
from fedbrain.data.dataset import Scans
from fedbrain.data.inputs import Inputs, design

HostBatch = dict[str, np.ndarray]


class _Source:
    """Grain's view of scans: one at a time."""

    def __init__(self, scans: Scans, inputs: Inputs):
        self.scans = scans
        self.covariates = design(scans, inputs.covariates)

    def __len__(self) -> int:
        return len(self.scans)

    def __getitem__(self, index):
        return {
            "image": np.asarray(self.scans.volumes[index], np.float32),
            "target": np.float32(self.scans.target[index]),
            "mask": np.float32(1),
            "covariates": self.covariates[index],
        }


def pipeline_seed(*parts: int | str) -> int:
    """One 31-bit seed from integers and names.

    >>> pipeline_seed(0, 1, "amber") == pipeline_seed(0, 1, "amber") != pipeline_seed(0, 2, "amber")
    True
    """
    numbers = [p if isinstance(p, int) else zlib.crc32(p.encode()) for p in parts]
    return int(np.random.SeedSequence(numbers).generate_state(1)[0] >> 1)


def _read_options() -> grain.ReadOptions:
    workers = os.cpu_count() or 1
    return grain.ReadOptions(num_threads=workers, prefetch_buffer_size=4 * workers)


def _collate(scans: list[HostBatch], size: int, inputs: Inputs) -> HostBatch:
    """One batch, filled up to `size` with copies of its examples, without mask and target.

    Copies, because batch normalisation would make zeros infinite where a few examples are nearly
    equal, and infinity times a mask of 0 is not a number.
    """
    batch = {name: np.stack([s[name] for s in scans]) for name in scans[0]}
    if inputs.modalities > 1 and "image" in batch:
        modalities = np.stack([present(image) for image in batch["image"]])
        batch["covariates"] = np.concatenate([batch["covariates"], modalities], axis=1)
    if not inputs.width:
        del batch["covariates"]
    missing = size - len(scans)
    if missing:
        copied = np.arange(missing) % len(scans)
        for name, x in batch.items():
            real = name not in ("mask", "target")
            batch[name] = np.concatenate([x, x[copied] if real else np.zeros(missing, x.dtype)])
    return batch


def _batches(dataset: grain.MapDataset, size: int, inputs: Inputs) -> Iterator[HostBatch]:
    def collate(scans: Any) -> HostBatch:
        return _collate(list(scans), size, inputs)

    scans = dataset.to_iter_dataset(_read_options())
    return iter(scans.batch(size, drop_remainder=False, batch_fn=collate))


def train_batches(
    scans: Scans, *, batch_size: int, epochs: int, seed: int, inputs: Inputs
) -> Iterator[HostBatch]:
    """Every scan `epochs` times, each time in a new order and newly augmented.

    Args:
      scans: of one client.
      batch_size: examples of a batch.
      epochs: passes over the scans.
      seed: of order and augmentation.
      inputs: how scans become inputs.

    Yields:
      image [b d h w c], target [b], mask [b], and covariates [b k] where there are some; the last
      batch is filled up with masked copies.
    """

    def change(scan: HostBatch, rng: np.random.Generator) -> HostBatch:
        image, augment = scan["image"], inputs.augment
        return {**scan, "image": apply(image, augment.draw(image.shape, rng), turns=augment.turns)}

    source = grain.MapDataset.source(_Source(scans, inputs))
    changed = source.seed(seed).shuffle().repeat(epochs).random_map(change)
    return _batches(changed, batch_size, inputs)


def train_references(
    scans: Scans, shape: tuple[int, ...], *, batch_size: int, epochs: int, seed: int, inputs: Inputs
) -> list[HostBatch]:
    """The batches of `train_batches` without images: indices of scans, and changes to make.

    For volumes on the device. Arguments as `train_batches`, and the `shape` of an image.

    Returns:
      index [b], target [b], mask [b], covariates [b k] but for the presence of modalities, and the
      fields of `Change` [b ...], for every batch.
    """
    covariates = design(scans, inputs.covariates)

    def refer(index: int, rng: np.random.Generator) -> HostBatch:
        return {
            "index": np.asarray(index, np.int32),
            "target": np.asarray(scans.target[index], np.float32),
            "mask": np.ones((), np.float32),
            "covariates": covariates[index],
            **inputs.augment.draw(shape, rng)._asdict(),
        }

    indices = grain.MapDataset.range(len(scans)).seed(seed).shuffle().repeat(epochs)
    dataset: Any = indices.random_map(refer)
    examples = [dataset[i] for i in range(len(dataset))]
    return [
        _collate(examples[i : i + batch_size], batch_size, inputs)
        for i in range(0, len(examples), batch_size)
    ]


def eval_batches(
    scans: Scans, *, batch_size: int, inputs: Inputs, view: Change | None = None
) -> Iterator[HostBatch]:
    """Every scan once, in order, unchanged or all in one view; shapes as `train_batches`.

    Unknown targets become 0.
    """
    known = replace(scans, target=np.nan_to_num(scans.target))
    source = grain.MapDataset.source(_Source(known, inputs))
    if view is not None:
        source = source.map(lambda scan: {**scan, "image": apply(scan["image"], view, turns=False)})
    return _batches(source, batch_size, inputs)


def example_batch(shape: tuple[int, ...], batch_size: int, inputs: Inputs) -> HostBatch:
    """A batch of zeros of the right shapes."""
    batch = {
        "image": np.zeros((batch_size, *shape), np.float32),
        "target": np.zeros(batch_size, np.float32),
        "mask": np.zeros(batch_size, np.float32),
    }
    if inputs.width:
        batch["covariates"] = np.zeros((batch_size, inputs.width), np.float32)
    return batch
