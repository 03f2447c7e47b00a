"""Predictions of trained models for the scans of a BIDS tree, with and without labels."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from fedbrain.analysis import longitudinal
from fedbrain.analysis.columns import columns_of
from fedbrain.analysis.longitudinal import change_within
from fedbrain.analysis.measures import measures_of
from fedbrain.analysis.prediction_cells import (
    prediction_cells,
    prediction_columns,
    target_cell,
)
from fedbrain.analysis.predictions import Predictions
from fedbrain.analysis.results_table import render_accuracy
from fedbrain.data import views as test_views
from fedbrain.data.dataset import Scans, take
from fedbrain.data.labelled import labelled_scans
from fedbrain.data.prepared_site import prepare_site
from fedbrain.data.scan_report import Report
from fedbrain.data.tables import write_table
from fedbrain.experiments import new_people
from fedbrain.experiments.clients import preparation_of
from fedbrain.experiments.config import Experiment
from fedbrain.experiments.known_people import find_known, warn
from fedbrain.experiments.predict_features import write_features
from fedbrain.experiments.predict_scans import predict_scans
from fedbrain.experiments.predictions import floor_of, to_predictions
from fedbrain.experiments.saved_models import load_models, read_identity
from fedbrain.experiments.spec import call
from fedbrain.training.evaluate import Evaluate, make_evaluate
from fedbrain.types import Variables


class Tree(NamedTuple):
    """Where the scans are, and how their tables name things."""

    root: Path  # of the BIDS tree
    label: str  # a column, or table:column
    pattern: str  # suffix, or entities and suffix, of the images
    pipeline: str  # folder in derivatives/; empty: the raw tree
    columns: Mapping[str, str]  # covariate -> its column here, where the names differ


class Model(NamedTuple):
    """One of the models whose predictions are averaged."""

    experiment: Experiment  # that trained it
    evaluate: Evaluate  # of its task
    weight: float  # 1 / validation loss
    variables: Variables  # of the network


def read_models(workdirs: list[Path], *, federation: str, client: str) -> list[Model]:
    """The models of all work directories.

    Args:
      workdirs: of finished experiments.
      federation: federated, centralised or local-<client>.
      client: whose private leaves to use, where every client keeps some.

    Raises:
      ValueError: when the experiments do not see scans in the same way.
    """
    identities = [read_identity(workdir) for workdir in workdirs]
    kinds = {
        (str(e.recipe), e.modalities, *e.inputs.covariates, e.unit, *e.classes, *data["shape"])
        for e, data in identities
    }
    if len(kinds) > 1:
        raise ValueError(
            "--workdir: expected experiments with the same inputs, unit and classes, got"
            f" {len(kinds)} kinds."
        )
    models = []
    for workdir, (experiment, _) in zip(workdirs, identities):
        evaluate = make_evaluate(experiment.task)
        for weight, variables in load_models(workdir, federation=federation, client=client):
            models.append(Model(experiment, evaluate, weight, variables))
    return models


def load_tree(tree: Tree, experiment: Experiment) -> tuple[Scans, Report]:
    """The prepared scans of a tree; the target is NaN where there is no label.

    Args:
      tree: where the scans are.
      experiment: says how volumes are prepared.
    """
    labels, report = labelled_scans(
        tree.root,
        tree.root.name,
        label=tree.label,
        pattern=tree.pattern,
        pipeline=tree.pipeline,
        keep_unlabelled=True,
        classes=experiment.classes,
    )
    return prepare_site(
        tree.root,
        labels,
        report,
        preparation_of(experiment),
        pattern=tree.pattern,
        pipeline=tree.pipeline,
        columns={name: tree.columns.get(name, name) for name in experiment.inputs.covariates},
    )


def predict_each(models: list[Model], scans: Scans, views: str) -> Float[np.ndarray, "m n *k"]:
    """Predictions of every model, in target units or as probabilities of classes.

    Args:
      models: of the same inputs.
      scans: labelled or not.
      views: of each scan, a call such as `averaged(shift=1)`; empty: those of the first experiment.
    """
    chosen = call(views, test_views.VIEWS) if views else models[0].experiment.views
    return np.asarray(
        [
            predict_scans(m.evaluate, m.variables, scans, m.experiment._replace(views=chosen))
            for m in models
        ]
    )


def mean_of(models: list[Model], each: Float[np.ndarray, "m n *k"]) -> Float[np.ndarray, "n *k"]:
    """The mean over models, weighted by 1 / validation loss.

    Args:
      models: of the same inputs.
      each: what each of them predicts.
    """
    return np.average(each, axis=0, weights=[m.weight for m in models])


def average(models: list[Model], scans: Scans, views: str) -> Float[np.ndarray, "n *k"]:
    """`mean_of` what `predict_each` gives."""
    return mean_of(models, predict_each(models, scans, views))


def where_known(
    scans: Scans, prediction: Float[np.ndarray, "n *k"], classes: tuple[str, ...]
) -> Predictions | None:
    """Predictions for the scans with a label; None with fewer than two of them.

    Args:
      scans: with NaN where the target is unknown.
      prediction: of every scan, in target units or as probabilities.
      classes: names, where the target is a class.
    """
    labels = set(range(len(classes)))
    usable = [math.isfinite(t) and (not classes or t in labels) for t in scans.target]
    known = np.flatnonzero(usable)
    if known.size < 2:
        return None
    labelled = take(scans, known.tolist())
    return to_predictions("", labelled, prediction[known], floor_of(labelled, classes), classes)


def run(
    workdirs: list[Path],
    tree: Tree,
    output: Path,
    *,
    federation: str,
    client: str,
    views: str,
    features: Path | None = None,
) -> None:
    """Writes a table of predictions for a tree, and prints their accuracy where labels are known.

    People who trained the models are named, since errors on them say nothing about new people.

    Args:
      workdirs: of finished experiments, whose models are averaged.
      tree: where the scans are.
      output: the table to write.
      federation: federated, centralised or local-<client>.
      client: whose private leaves to use, where every client keeps some.
      views: of each scan, a call; empty: those of the experiment.
      features: a table of what enters the last layer, or None.

    Raises:
      ValueError: when no scan can be used.
    """
    models = read_models(workdirs, federation=federation, client=client)
    experiment = models[0].experiment
    scans, report = load_tree(tree, experiment)
    print(report)
    if not len(scans):
        raise ValueError(f"{tree.root}: expected at least one usable scan, got none.")
    each = predict_each(models, scans, views)
    prediction = mean_of(models, each)
    classes = experiment.classes
    told = None if classes else new_people.validation_margins(workdirs, federation, client)
    more = (
        new_people.cells(each, prediction, scans.target, told, ".3f") if told else [[]] * len(scans)
    )
    rows = [
        (scan, *prediction_cells(y, classes, ".3f"), target_cell(t, classes, ".3f"), *others)
        for scan, y, t, others in zip(scans.ids, prediction, scans.target, more)
    ]
    columns = ["scan_id", *prediction_columns(classes), "target"]
    write_table(output, [*columns, *(new_people.COLUMNS if told else ())], rows)
    kind = f"classes {', '.join(classes)}" if classes else experiment.unit
    print(f"{len(rows)} predictions of {len(models)} models in {output}, in {kind}")
    if told:
        print(new_people.sentence(told, experiment.unit))
    known_ones = where_known(scans, prediction, classes)
    if known_ones:
        metrics = measures_of(known_ones).site(known_ones)
        start = "SYNTHETIC data: " if report.synthetic else ""
        columns = columns_of({"classes": classes})
        name = f"{start}{metrics['n']} with a label"
        print(render_accuracy(name, metrics, columns, experiment.unit))
    change = None if classes else change_within(scans.subjects, scans.target, prediction)
    if change:
        print(longitudinal.sentence(change, experiment.unit))
    known = warn(find_known(workdirs, federation, scans), len(scans))
    if known:
        print(known)
    if features:
        write_features(experiment, models[0].variables, scans, tree.label, features)
