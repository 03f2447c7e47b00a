"""Ridge regression on region volumes, all people together, in five folds: a floor for brain age.

    python -m benchmarks.region_floor --bids=TREE [--workdir=WORKDIR --regime=centralised]

Features: logarithms of the volumes of `derivatives/dlmuse` as shares of the brain. The penalty is
chosen by leaving out one training person at a time. Every person is tested once in each of 20
choices of folds. With --workdir, also in the folds of an experiment on the same people, and the
difference of the experiment's model and ridge is told in pairs.
"""

from pathlib import Path

import numpy as np
from absl import app, flags

from benchmarks.regions import people_of, regions_of, ridge
from fedbrain.analysis.columns import NUMBERS
from fedbrain.analysis.intervals import span
from fedbrain.analysis.results_table import render_accuracy
from fedbrain.analysis.statistics import Predictions, accuracy, difference
from fedbrain.data.splits import pick
from fedbrain.data.tables import read_table

BIDS = flags.DEFINE_string("bids", None, "Of real scans with derivatives/dlmuse.", required=True)
WORKDIR = flags.DEFINE_string("workdir", None, "Of an experiment whose people are tested once.")
REGIME = flags.DEFINE_string("regime", "centralised", "Of the experiment.")
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


def beside(workdir: Path, regime: str, names: list[str], x: np.ndarray, age: np.ndarray) -> str:
    """The experiment's model and ridge on its test people, ridge trained on all others.

    Args:
      workdir: of the experiment.
      regime: whose model.
      names: participants with region volumes, one scan each.
      x: their region volumes.
      age: their ages.
    """
    rows = {
        row["scan_id"]: row
        for path in sorted(workdir.glob("clients/*/predictions.tsv"))
        for row in read_table(path)
        if (row["regime"], row["part"]) == (regime, "test")
    }
    missing = [name for name in names if name not in rows]
    if missing:
        raise ValueError(
            f"{workdir}: expected a test prediction of everybody, got no {missing[0]}."
        )
    fold = np.asarray([rows[name]["split"] for name in names])
    model = np.asarray([float(rows[name]["prediction"]) for name in names], np.float32)
    linear, floor = np.zeros(len(age)), np.zeros(len(age))
    for one in sorted(set(fold)):
        test = fold == one
        linear[test] = ridge(x[~test], age[~test], x[test])
        floor[test] = np.median(age[~test])
    target, median = age.astype(np.float32), floor.astype(np.float32)
    first, second = (
        Predictions(names, target, said.astype(np.float32), median) for said in (model, linear)
    )
    told = difference(first, second)
    return "\n".join(
        [
            render_accuracy(f"{regime}, the same people", accuracy(first), NUMBERS, "years"),
            render_accuracy("ridge in the same folds", accuracy(second), NUMBERS, "years"),
            f"MAE {regime} - ridge: {told['mae_difference']:+.2f} years (95 %"
            f" {span(told['mae_difference_95'], '+.2f')})",
        ]
    )


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
    if WORKDIR.value:
        names = people_of(Path(BIDS.value).expanduser())
        print(beside(Path(WORKDIR.value).expanduser(), REGIME.value, names, x, age))


if __name__ == "__main__":
    app.run(main)
