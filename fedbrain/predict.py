"""Applies a trained model to new scans: python -m fedbrain.predict --workdir=DIR --bids=ROOT --output=FILE.tsv.

The prediction is the mean over the models of all repeats and inner splits of a regime, weighted by 1 / validation loss.
Scans without a label are predicted too; where labels are present the metrics are printed.
"""

import json
import sys
import warnings
from pathlib import Path

import numpy as np
from absl import app, flags
from ml_collections import ConfigDict

from fedbrain import build, startup
from fedbrain.data.dataset import Scans
from fedbrain.data.pipeline import eval_batches
from fedbrain.data.prepare import prepare
from fedbrain.data.report import Report
from fedbrain.data.sites import collect, labelled_scans
from fedbrain.data.tables import write_table
from fedbrain.evaluate import make_evaluate
from fedbrain.federation import first_snapshot, members_variables
from fedbrain.io.checkpoint import Checkpoints, tree_digest
from fedbrain.report.statistics import Predictions, accuracy
from fedbrain.report.table import render_accuracy
from fedbrain.types import Variables

WORKDIR = flags.DEFINE_string("workdir", None, "Of the trained experiment.", required=True)
BIDS = flags.DEFINE_string("bids", None, "Root of the BIDS tree with the new scans.", required=True)
OUTPUT = flags.DEFINE_string(
    "output", None, "The table to write: scan_id, prediction and, where known, target.", required=True
)
LABEL = flags.DEFINE_string("label", "age", "Label column, or table:column.")
PATTERN = flags.DEFINE_string("pattern", "T1w", "Suffix, or entities and suffix, of the images.")
PIPELINE = flags.DEFINE_string("pipeline", "", "Reads images from derivatives/<pipeline>.")
FEDERATION = flags.DEFINE_string("federation", "federated", "Which model: federated, centralised, local-<client>.")
CLIENT = flags.DEFINE_string("client", "", "Whose private leaves to use, for a federation that keeps some.")


def load_models(experiment: build.Experiment, workdir: Path, shape: tuple[int, int, int]) -> list[tuple[float, Variables]]:
    """(weight, variables) of the best round of every trained split of the federation."""
    folders = sorted((workdir / "runs" / FEDERATION.value).glob("repeat*-split*"))
    if not folders:
        have = sorted(p.name for p in (workdir / "runs").glob("*"))
        raise ValueError(f"{workdir}: expected a trained {FEDERATION.value!r}, got {have}. Choose one by --federation.")
    models = []
    for folder in folders:
        members = json.loads((folder / "members.json").read_text())
        name = CLIENT.value or members[0]
        if name not in members:
            raise ValueError(f"--client: expected one of {members}, got {name!r}.")
        checkpoints = Checkpoints(folder / "checkpoints", keep=experiment.keep)
        restored = checkpoints.restore_latest(first_snapshot(experiment, [1] * len(members), shape))
        checkpoints.close()
        if restored is None:
            raise ValueError(f"{folder}: expected a checkpoint that verifies, got none. Run the experiment again.")
        snapshot = restored[1]
        everyone = members_variables(experiment, members, snapshot)
        if not CLIENT.value and len({tree_digest(v) for v in everyone.values()}) > 1:
            raise ValueError(f"Every client of this federation has its own model. Choose one by --client, of {members}.")
        variables = everyone[name]
        models.append((1 / max(float(snapshot.selection.best_loss), 1e-9), variables))
    return models


def load_scans(experiment: build.Experiment) -> tuple[Scans, Report]:
    """The new scans, with and without label."""
    root = Path(BIDS.value)
    labels, report = labelled_scans(
        root, root.name, label=LABEL.value, pattern=PATTERN.value, pipeline=PIPELINE.value, keep_unlabelled=True
    )
    cache = Path(experiment.cache).expanduser()
    prepared = prepare(list(labels), root, recipe=experiment.recipe, cache=cache, report=report)
    return collect(prepared, labels, experiment.recipe, report)


def run() -> None:
    """The story of a prediction."""
    workdir = Path(WORKDIR.value)
    if not (workdir / "config.json").is_file():
        raise ValueError(f"{workdir}: expected the work directory of an experiment, got no config.json there.")
    identity = json.loads((workdir / "config.json").read_text())
    experiment = build.read(ConfigDict(identity["config"]))
    scans, report = load_scans(experiment)
    print(report)
    if not len(scans):
        raise ValueError(f"{BIDS.value}: expected at least one usable scan, got none.")
    d, h, w = identity["data"]["shape"]
    if scans.volumes[0].shape != (d, h, w):
        raise ValueError(
            f"{BIDS.value}: expected prepared volumes {(d, h, w)} as in training, got {scans.volumes[0].shape}."
        )
    evaluate = make_evaluate(experiment.task)
    models = load_models(experiment, workdir, (d, h, w))
    each = [evaluate(v, eval_batches(scans, batch_size=experiment.batch_size))[0] for _, v in models]
    kind = "SYNTHETIC data: " if report.synthetic else ""
    mean = np.average(each, axis=0, weights=[weight for weight, _ in models])
    rows = [(i, f"{y:.3f}", "n/a" if np.isnan(t) else f"{t:.3f}") for i, y, t in zip(scans.ids, mean, scans.target)]
    write_table(Path(OUTPUT.value), ["scan_id", "prediction", "target"], rows)
    print(f"{len(rows)} predictions of {len(models)} models in {OUTPUT.value}")
    known = np.flatnonzero(np.isfinite(scans.target))
    if known.size > 1:
        target = scans.target[known]
        floor = np.full(known.size, np.median(target), np.float32)
        m = accuracy(Predictions([scans.subjects[i] for i in known], target, mean[known].astype(np.float32), floor))
        print(render_accuracy(f"{kind}{m['n']} with a label", m, experiment.unit))


def main(argv: list[str]) -> None:
    """Reads the flags, and says what went wrong in one sentence."""
    if len(argv) > 1:
        raise app.UsageError(f"Expected only flags, got {argv[1:]}.")
    startup.configure()
    warnings.filterwarnings("ignore", module="orbax|flax")
    try:
        run()
    except ValueError as error:
        sys.exit(f"fedbrain: {error}")


if __name__ == "__main__":
    app.run(main)
