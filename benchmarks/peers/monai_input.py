"""The same scans through MONAI.

Task: as fedbrain_input, and "dataset": PersistentDataset or CacheDataset.
"""

import shutil
import tempfile
import warnings
from pathlib import Path

from monai import transforms as t
from monai.data import CacheDataset, DataLoader, PersistentDataset

from benchmarks.paired import serve


def set_up(task: dict):
    """One stage; CacheDataset holds its volumes in memory, so "cached" there is a look-up."""
    warnings.filterwarnings("ignore")
    paths = sorted(Path(task["root"]).rglob("*_T1w.nii.gz"))[: task["scans"]]
    fixed = t.Compose(
        [
            *(
                t.LoadImage(),
                t.EnsureChannelFirst(),
                t.Orientation("RAS"),
                t.Spacing((task["voxel_mm"],) * 3),
            ),
            *(t.ResizeWithPadOrCrop((task["size"],) * 3), t.NormalizeIntensity(nonzero=True)),
        ]
    )
    changes = t.Compose(
        [t.RandFlip(0.5, 0), t.RandAffine(0.99, translate_range=(2, 2, 2), padding_mode="border")]
    )
    random = task["stage"] == "pipeline"
    every = t.Compose([*fixed.transforms, *(changes.transforms if random else ())])
    cache = tempfile.mkdtemp()
    names = [str(p) for p in paths]

    def make():
        if task["dataset"] == "CacheDataset":
            return CacheDataset(names, every, num_workers=2, progress=False)
        return PersistentDataset(names, every, cache)

    def cold() -> None:
        shutil.rmtree(cache, ignore_errors=True)
        dataset = make()
        if task["dataset"] == "PersistentDataset":
            for _ in DataLoader(dataset, batch_size=8, num_workers=2):
                pass

    if task["stage"] == "cold":
        return cold
    dataset = make()
    if task["stage"] == "cached":
        return lambda: [dataset[i].shape for i in range(len(dataset))]
    loader = DataLoader(dataset, batch_size=8, shuffle=True, num_workers=2, persistent_workers=True)
    return lambda: [batch.shape for batch in loader]


if __name__ == "__main__":
    serve(set_up, "monai", "torch", "nibabel")
