"""Scans through fedbrain's input; a lap is all scans once.

Task: {"root", "stage", "voxel_mm", "size", "scans"}.

Stages: "gunzip" only decompresses, on all cores; "cold" prepares from `.nii.gz` into an empty
cache, "cached" reads prepared volumes, "pipeline" makes shuffled and augmented batches of 8 from
them.
"""

import os
import shutil
import tempfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from benchmarks.paired import serve
from fedbrain.data.augment import augment
from fedbrain.data.bids import find_scans
from fedbrain.data.dataset import Scans, Volumes
from fedbrain.data.inputs import Inputs
from fedbrain.data.pipeline import train_batches
from fedbrain.data.prepare import prepare
from fedbrain.data.recipes import RECIPES
from fedbrain.data.scan_report import Report


def set_up(task: dict):
    """One stage."""
    recipe = RECIPES["conform"](
        voxel_size_mm=task["voxel_mm"], shape=(task["size"],) * 3, mask="foreground"
    )
    root = Path(task["root"])
    scans = find_scans(root, "T1w")[: task["scans"]]
    cache = Path(tempfile.mkdtemp())

    def prepared() -> list[Path]:
        return list(
            prepare(scans, root, recipe=recipe, cache=cache, report=Report("bench")).values()
        )

    def cold() -> None:
        shutil.rmtree(cache)
        prepared()

    if task["stage"] == "gunzip":
        pool = ThreadPoolExecutor(os.cpu_count())
        return lambda: list(
            pool.map(lambda scan: len(zlib.decompress(scan.path.read_bytes(), 31)), scans)
        )
    if task["stage"] == "cold":
        return cold
    volumes = Volumes([[path] for path in prepared()], recipe.shape)
    if task["stage"] == "cached":
        return lambda: [volumes[i].shape for i in range(len(volumes))]
    ids = tuple(scan.id for scan in scans)
    labelled = Scans(ids, ids, np.zeros(len(ids), np.float32), volumes)
    change = augment(flip=True, shift=2)
    return lambda: [
        b["image"].shape
        for b in train_batches(
            labelled, batch_size=8, epochs=1, seed=0, inputs=Inputs(change, {}, 1)
        )
    ]


if __name__ == "__main__":
    serve(set_up, "grain", "nibabel", "numpy")
