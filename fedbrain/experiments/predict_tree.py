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
from fedbrain.experiments.known_people import warn
from fedbrain.experiments.predict_features import write_features
from fedbrain.experiments.predict_scans import predict_scans
from fedbrain.experiments.predictions import floor_of, to_predictions
from fedbrain.experiments.spec import call
from fedbrain.experiments.trained_models import Model, Trained
from fedbrain.experiments.unprepared import leave_heads_out


class Tree(NamedTuple):
    """Where the scans are, and how their tables name things."""

    root: Path  # of the BIDS tree
    label: str  # a column, or table:column
    pattern: str  # suffix, or entities and suffix, of the images
    pipeline: str  # folder in derivatives/; empty: the raw tree
    columns: Mapping[str, str]  # covariate -> its column here, where the names differ


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
    scans, report = prepare_site(
        tree.root,
        labels,
        report,
        preparation_of(experiment),
        pattern=tree.pattern,
        pipeline=tree.pipeline,
        columns={name: tree.columns.get(name, name) for name in experiment.inputs.covariates},
    )
    return leave_heads_out(scans, experiment.recipe, report), report


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
    trained: Trained,
    tree: Tree,
    output: Path,
    *,
    views: str,
    features: Path | None = None,
) -> None:
    """Writes a table of predictions for a tree, and prints their accuracy where labels are known.

    People who trained the models are named, since errors on them say nothing about new people.

    Args:
      trained: models that are averaged, and what is known of them.
      tree: where the scans are.
      output: the table to write.
      views: of each scan, a call; empty: those of the experiment.
      features: a table of what enters the last layer, or None.

    Raises:
      ValueError: when no scan can be used.
    """
    models, told = trained.models, trained.margins
    experiment = models[0].experiment
    scans, report = load_tree(tree, experiment)
    print(report)
    if not len(scans):
        raise ValueError(f"{tree.root}: expected at least one usable scan, got none.")
    each = predict_each(models, scans, views)
    prediction = mean_of(models, each)
    classes = experiment.classes
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
        print(new_people.sentence(told, experiment.unit, trained.margins_of))
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
    known = warn(trained.find_known(scans), len(scans))
    if known:
        print(known)
    if trained.of_file:
        print("\n".join(trained.errors))
    if features:
        write_features(experiment, models[0].variables, scans, tree.label, features)
