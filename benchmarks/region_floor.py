"""Ridge regression on region volumes, all people together, in five folds: a floor for brain age.

    python -m benchmarks.region_floor --bids=TREE

Features: logarithms of the volumes of `derivatives/dlmuse` as shares of the brain. The penalty is
chosen by leaving out one training person at a time. Every person is tested once in each of 20
choices of folds.
"""

from pathlib import Path

import numpy as np
from absl import app, flags

from benchmarks.regions import regions_of, ridge
from fedbrain.analysis.columns import NUMBERS
from fedbrain.analysis.results_table import render_accuracy
from fedbrain.analysis.statistics import Predictions, accuracy
from fedbrain.data.splits import pick

BIDS = flags.DEFINE_string("bids", None, "Of real scans with derivatives/dlmuse.", required=True)
FOLDS = 5
CHOICES = 20  # of folds


def cross_validate(x: np.ndarray, age: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """What ridge and the median of the training people say of everybody."""
    people = [f"person-{k:04d}" for k in range(len(age))]  # names are not needed
    said, floor = np.zeros(len(age)), np.zeros(len(age))
    for turn in range(FOLDS):
        test = pick(people, age, 1 / FOLDS, seed=f"test/{seed}", turn=turn)
        said[test] = ridge(x[~test], age[~test], x[test])
        floor[test] = np.median(age[~test])
    return said, floor


def main(argv: list[str]) -> None:
    """Prints the error of the first choice of folds, and the range over all."""
    del argv
    x, age = regions_of(Path(BIDS.value).expanduser())
    choices = [cross_validate(x, age, seed) for seed in range(CHOICES)]
    people = [str(k) for k in range(len(age))]
    said, floor = choices[0]
    p = Predictions(
        people, age.astype(np.float32), said.astype(np.float32), floor.astype(np.float32)
    )
    title = f"ridge on {x.shape[1]} region volumes, {len(age)} people, five folds"
    print(render_accuracy(title, accuracy(p), NUMBERS, "years"))
    errors = [float(np.abs(said - age).mean()) for said, _ in choices]
    print(
        f"over {CHOICES} choices of folds: mean {np.mean(errors):.2f}, range {min(errors):.2f} to"
        f" {max(errors):.2f}"
    )


if __name__ == "__main__":
    app.run(main)
