"""Ridge regression on voxels, centralised, on exactly the splits of an experiment.

    python -m benchmarks.ridge_floor --workdir=runs/ixi_hh

Reads the configuration of a finished experiment, loads the same prepared scans, and for each repeat
fits ridge on the training scans of all clients together (features: every voxel, standardised;
penalty chosen on the validation scans, then refitted on training and validation scans). Prints its
test MAE beside the experiment's own predictions of the same scans, and their paired difference.
"""

import json
from pathlib import Path

import numpy as np
from absl import app, flags
from ml_collections import ConfigDict

from fedbrain.analysis.columns import NUMBERS
from fedbrain.analysis.results_table import render_accuracy
from fedbrain.analysis.statistics import Predictions, accuracy, difference
from fedbrain.data.dataset import Scans, concatenate
from fedbrain.data.splits import split_scans
from fedbrain.data.tables import read_table
from fedbrain.experiments.clients import load_clients
from fedbrain.experiments.config import read_experiment

WORKDIR = flags.DEFINE_string("workdir", None, "Of a finished experiment.", required=True)
REGIME = flags.DEFINE_string("regime", "federated", "Whose predictions to compare with.")
PENALTIES = 10.0 ** np.arange(-1, 7)


def features(scans: Scans) -> np.ndarray:
    """Every voxel as a column, float32."""
    return np.stack([np.asarray(scans.volumes[i], np.float32).ravel() for i in range(len(scans))])


def ridge(x: np.ndarray, y: np.ndarray, new: np.ndarray, penalty: float) -> np.ndarray:
    """Dual form: y_new = K_new (K + penalty I)^-1 (y - mean y) + mean y on standardised columns."""
    mu, sd = x.mean(0), x.std(0) + 1e-3
    x, new = (x - mu) / sd, (new - mu) / sd
    gram = x @ x.T / x.shape[1]
    alpha = np.linalg.solve(gram + 1e-3 * penalty * np.eye(len(x)), y - y.mean())
    return new @ x.T / x.shape[1] @ alpha + y.mean()


def main(argv: list[str]) -> None:
    """Prints the floor, the experiment, and the paired difference."""
    del argv
    workdir = Path(WORKDIR.value)
    config = ConfigDict(json.loads((workdir / "config.json").read_text())["config"])
    experiment = read_experiment(config)
    clients, _ = load_clients(experiment)
    target, floor, median, ids = [], [], [], []
    for repeat in experiment.repeats:
        splits = [
            split_scans(s, experiment.fractions, seed=experiment.split_seed, repeat=repeat)
            for s in clients.values()
        ]
        train, valid, test = (
            concatenate([getattr(s, part) for s in splits]) for part in ("train", "valid", "test")
        )
        x, v, t = features(train), features(valid), features(test)
        errors = [np.abs(ridge(x, train.target, v, p) - valid.target).mean() for p in PENALTIES]
        best = PENALTIES[int(np.argmin(errors))]
        both, y = np.concatenate([x, v]), np.concatenate([train.target, valid.target])
        floor.append(ridge(both, y, t, best))
        target.append(test.target)
        median.append(np.full(len(test), np.median(y)))
        ids += [(i, repeat) for i in test.ids]
        print(
            f"repeat {repeat}: penalty {best:g}, MAE {np.abs(floor[-1] - test.target).mean():.2f}"
        )
    told: dict[tuple[str, int], list[float]] = {}
    for path in sorted(workdir.glob("clients/*/predictions.tsv")):
        for row in read_table(path):
            if row["regime"] == REGIME.value and row["part"] == "test":
                repeat = int(row["split"].removeprefix("repeat").split("-")[0])
                told.setdefault((row["scan_id"], repeat), []).append(float(row["prediction"]))
    subjects = [i.split("_")[0] for i, _ in ids]
    y, m = np.concatenate(target).astype(np.float32), np.concatenate(median).astype(np.float32)
    linear = Predictions(subjects, y, np.concatenate(floor).astype(np.float32), m)
    network = linear._replace(prediction=np.asarray([np.mean(told[i]) for i in ids], np.float32))
    for name, p in (("ridge on voxels, centralised", linear), (REGIME.value, network)):
        print(render_accuracy(f"{name}, n = {len(y)}", accuracy(p), NUMBERS, experiment.unit))
    d = difference(network, linear)
    low, high = d["mae_difference_95"]
    print(
        f"{REGIME.value} - ridge: {d['mae_difference']:+.2f} years (95 % {low:+.2f} to {high:+.2f})"
    )


if __name__ == "__main__":
    app.run(main)
