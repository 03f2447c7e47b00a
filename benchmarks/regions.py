"""Region volumes of a tree, and ridge regression on them."""

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from fedbrain.data.tables import read_table

PENALTIES = 10.0 ** np.arange(-2, 5)


def people_of(tree: Path) -> list[str]:
    """Participants with an age and region volumes, in the order of `regions_of`."""
    ages = {row["participant_id"] for row in read_table(tree / "participants.tsv")}
    paths = tree.glob("derivatives/dlmuse/sub-*/**/*_dseg.nii*")
    return sorted(ages & {path.name.split("_")[0] for path in paths})


def regions_of(tree: Path) -> tuple[np.ndarray, np.ndarray]:
    """(logarithms of region volumes as shares of the brain [people, regions], ages)."""
    ages = {
        row["participant_id"]: float(row["age"]) for row in read_table(tree / "participants.tsv")
    }
    paths = {
        path.name.split("_")[0]: path
        for path in sorted(tree.glob("derivatives/dlmuse/sub-*/**/*_dseg.nii*"))
    }
    counts = []
    names = [name for name in sorted(paths) if name in ages]
    for name in names:
        image: Any = nib.load(paths[name])  # pyright: ignore[reportPrivateImportUsage]
        labels = np.asarray(image.dataobj).round().astype(int).ravel()
        counts.append(np.bincount(labels, minlength=256)[1:256])
    table = np.asarray(counts, float)
    table = table[:, (table > 0).all(0)]
    return np.log(table / table.sum(1, keepdims=True)), np.asarray([ages[n] for n in names])


def ridge(x: np.ndarray, y: np.ndarray, new: np.ndarray) -> np.ndarray:
    """What ridge regression on standardised columns says of new people.

    The error of person i when left out is (y - H y)_i / (1 - H_ii), H = K (K + penalty I)^-1.
    """
    mu, sd = x.mean(0), x.std(0) + 1e-12
    x, new = (x - mu) / sd, (new - mu) / sd
    centred, n = y - y.mean(), len(y)
    values, vectors = np.linalg.eigh(x @ x.T / x.shape[1])
    best, chosen = np.inf, 0.0
    for penalty in PENALTIES:
        shrunk = values / (values + penalty)
        hat = (vectors * shrunk) @ vectors.T + 1 / n  # 1 / n: of the mean
        left_out = (y - hat @ y) / (1 - np.diag(hat))
        if np.abs(left_out).mean() < best:
            best, chosen = np.abs(left_out).mean(), penalty
    weights = vectors @ ((vectors.T @ centred) / (values + chosen))
    return new @ (x.T @ weights) / x.shape[1] + y.mean()
