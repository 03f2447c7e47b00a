"""Applies trained models to new scans: python -m fedbrain.predict --workdir=DIR[,DIR,...]
--bids=ROOT --output=FILE.tsv.

The prediction is the mean over the models of all repeats and inner splits of a regime, weighted by
1 / validation loss; of several work directories (seeds) where they are given.
`--test_views="averaged()"` also averages over views of each scan. Scans without a label are
predicted too; where labels are present the metrics are printed.
"""

import sys
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
from absl import app, flags

from fedbrain import cli
from fedbrain.analysis.results_table import render_accuracy
from fedbrain.analysis.statistics import Predictions, accuracy
from fedbrain.data import views
from fedbrain.data.dataset import Preparation, Scans
from fedbrain.data.scan_report import Report
from fedbrain.data.sites import labelled_scans, prepare_site
from fedbrain.data.tables import write_table
from fedbrain.experiments.config import Experiment
from fedbrain.experiments.predict_scans import predict_scans
from fedbrain.experiments.saved_models import load_models, read_identity
from fedbrain.experiments.spec import call
from fedbrain.training.evaluate import Evaluate, make_evaluate
from fedbrain.types import Variables

WORKDIR = flags.DEFINE_list(
    "workdir", None, "Of the trained experiment, or of several with the same inputs.", required=True
)
BIDS = flags.DEFINE_string("bids", None, "Root of the BIDS tree with the new scans.", required=True)
OUTPUT = flags.DEFINE_string(
    "output",
    None,
    "The table to write: scan_id, prediction and, where known, target.",
    required=True,
)
COLUMNS = flags.DEFINE_list("columns", [], "What covariates are called here: age=Age,sex=gender.")
LABEL = flags.DEFINE_string("label", "age", "Label column, or table:column.")
PATTERN = flags.DEFINE_string("pattern", "T1w", "Suffix, or entities and suffix, of the images.")
PIPELINE = flags.DEFINE_string("pipeline", "", "Reads images from derivatives/<pipeline>.")
VIEWS = flags.DEFINE_string(
    "test_views",
    "",
    "Views to average over, averaged(shift=1) say; by default those of the experiment.",
)
FEDERATION = flags.DEFINE_string(
    "federation", "federated", "Which model: federated, centralised, local-<client>."
)
CLIENT = flags.DEFINE_string(
    "client", "", "Whose private leaves to use, for a federation that keeps some."
)


def load_scans(experiment: Experiment) -> tuple[Scans, Report]:
    """The new scans, with and without label."""
    root = Path(BIDS.value)
    labels, report = labelled_scans(
        root,
        root.name,
        label=LABEL.value,
        pattern=PATTERN.value,
        pipeline=PIPELINE.value,
        keep_unlabelled=True,
    )
    wanted = Preparation(
        experiment.recipe, Path(experiment.cache).expanduser(), experiment.modalities
    )
    called = dict(pair.split("=", 1) for pair in COLUMNS.value)
    columns = {name: called.get(name, name) for name in experiment.inputs.covariates}
    return prepare_site(
        root,
        labels,
        report,
        wanted,
        pattern=PATTERN.value,
        pipeline=PIPELINE.value,
        columns=columns,
    )


class Model(NamedTuple):
    """One of those whose predictions are averaged."""

    experiment: Experiment
    evaluate: Evaluate
    weight: float
    variables: Variables


def read_models(workdirs: list[Path]) -> list[Model]:
    """The models of all work directories.

    Raises:
      ValueError: when the experiments do not see scans in the same way.
    """
    told = [read_identity(workdir) for workdir in workdirs]
    seen = {
        (str(e.recipe), e.modalities, tuple(e.inputs.covariates), e.unit, tuple(data["shape"]))
        for e, data in told
    }
    if len(seen) > 1:
        raise ValueError(
            f"--workdir: expected experiments with the same inputs and unit, got {len(seen)} kinds."
        )
    which = {"federation": FEDERATION.value, "client": CLIENT.value}
    models = []
    for workdir, (experiment, _) in zip(workdirs, told):
        evaluate = make_evaluate(experiment.task)
        models += [Model(experiment, evaluate, w, v) for w, v in load_models(workdir, **which)]
    return models


def run() -> None:
    """The story of a prediction."""
    models = read_models([Path(text) for text in WORKDIR.value])
    experiment = models[0].experiment
    scans, report = load_scans(experiment)
    print(report)
    if not len(scans):
        raise ValueError(f"{BIDS.value}: expected at least one usable scan, got none.")
    chosen = call(VIEWS.value, views.VIEWS) if VIEWS.value else experiment.views
    each = [
        predict_scans(m.evaluate, m.variables, scans, m.experiment._replace(views=chosen))
        for m in models
    ]
    mean = np.average(each, axis=0, weights=[m.weight for m in models])
    kind = "SYNTHETIC data: " if report.synthetic else ""
    rows = [
        (i, f"{y:.3f}", "n/a" if np.isnan(t) else f"{t:.3f}")
        for i, y, t in zip(scans.ids, mean, scans.target)
    ]
    write_table(Path(OUTPUT.value), ["scan_id", "prediction", "target"], rows)
    print(f"{len(rows)} predictions of {len(models)} models in {OUTPUT.value}")
    known = np.flatnonzero(np.isfinite(scans.target))
    if known.size > 1:
        target = scans.target[known]
        floor = np.full(known.size, np.median(target), np.float32)
        m = accuracy(
            Predictions(
                [scans.subjects[i] for i in known], target, mean[known].astype(np.float32), floor
            )
        )
        print(render_accuracy(f"{kind}{m['n']} with a label", m, experiment.unit))


def main(argv: list[str]) -> None:
    """Reads the flags, and says what went wrong in one sentence."""
    if len(argv) > 1:
        raise app.UsageError(f"Expected only flags, got {argv[1:]}.")
    cli.configure()
    warnings.filterwarnings("ignore", module="orbax|flax")
    try:
        run()
    except ValueError as error:
        sys.exit(f"fedbrain: {error}")


if __name__ == "__main__":
    app.run(main)
