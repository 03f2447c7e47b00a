"""A large cache of prepared volumes, read as shuffled batches; a lap is all of them once.

Task: {"folder", "scans", "size", "storage"}. The volumes are noise: SYNTHETIC. A few of them are
made, and written as often as there are scans.
"""

from pathlib import Path

import numpy as np

from benchmarks.paired import serve
from fedbrain.data.augment import augment
from fedbrain.data.dataset import Scans, Volumes
from fedbrain.data.inputs import Inputs
from fedbrain.data.pipeline import train_batches
from fedbrain.data.prepared_file import STORAGES, save_prepared

DIFFERENT = 8


def write(task: dict) -> list[list[Path | None]]:
    """The cache; a file for each scan."""
    rng = np.random.default_rng(0)
    shape = (task["size"],) * 3
    noise = [rng.standard_normal(shape, dtype=np.float32).clip(-5, 5) for _ in range(DIFFERENT)]
    suffix = STORAGES[task["storage"]].suffix
    paths = [Path(task["folder"]) / f"{number}{suffix}" for number in range(task["scans"])]
    for number, path in enumerate(paths):
        save_prepared(path, noise[number % DIFFERENT])
    return [[path] for path in paths]


def set_up(task: dict):
    """A lap is one epoch of batches of 8."""
    volumes = Volumes(write(task), (task["size"],) * 3)
    ids = tuple(f"sub-{number}" for number in range(task["scans"]))
    scans = Scans(ids, ids, np.zeros(len(ids), np.float32), volumes)
    inputs = Inputs(augment(flip=True, shift=2), {}, 1)

    def lap() -> None:
        for batch in train_batches(scans, batch_size=8, epochs=1, seed=0, inputs=inputs):
            assert batch["image"].shape[0] == 8

    return lap


if __name__ == "__main__":
    serve(set_up, "grain", "numpy")
