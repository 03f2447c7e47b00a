"""Predictions of trained models for single NIfTI files."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from fedbrain.analysis.prediction_cells import prediction_cells, prediction_columns
from fedbrain.data.dataset import concatenate
from fedbrain.data.scan_report import WITHOUT_SKULL
from fedbrain.data.single_image import load_image
from fedbrain.data.tables import parse_value, write_table
from fedbrain.experiments.clients import preparation_of
from fedbrain.experiments.known_people import warn
from fedbrain.experiments.predict_tree import average
from fedbrain.experiments.trained_models import Trained
from fedbrain.experiments.unprepared import require_brain


class Predicted(NamedTuple):
    """Predictions for images, and what is to be said of them."""

    values: Float[np.ndarray, "n *k"]  # of each image, in `unit` or as probabilities of classes
    unit: str  # of the target
    classes: tuple[str, ...]  # names, where the target is a class
    models: int  # whose mean they are
    warnings: list[str]  # notes on images, and people who trained the models


def read_covariates(
    texts: Mapping[str, Any], names: Sequence[str], images: int
) -> dict[str, float]:
    """Covariates of the person, as numbers.

    Args:
      texts: column -> value, as text or number; M and F are sexes in a column of sexes.
      names: columns that the models need.
      images: how many images there are.

    Raises:
      ValueError: for one that is missing, unknown or no number, or with several images.
    """
    missing, unknown = [n for n in names if n not in texts], [n for n in texts if n not in names]
    if missing:
        values = ",".join(f"{name}=VALUE" for name in names)
        raise ValueError(
            f"--covariates: expected {', '.join(names)}, which the model needs, got no"
            f" {missing[0]}. Write --covariates={values}."
        )
    if unknown:
        needs = ", ".join(names) or "none"
        raise ValueError(f"--covariates: expected those of the model ({needs}), got {unknown[0]}.")
    if names and images > 1:
        raise ValueError(
            f"--image: expected one image, since --covariates are of one person, got {images}."
            " Predict one after the other, or a BIDS tree with --bids."
        )
    numbers = {}
    for name, text in texts.items():
        try:
            value = parse_value(str(text), name)
        except ValueError as error:
            raise ValueError(f"--covariates: {name}: {error}") from None
        if value is None:
            raise ValueError(f"--covariates: {name}: expected a number, got {text!r}.")
        numbers[name] = value
    return numbers


def predict_images(
    trained: Trained,
    images: Sequence[Path],
    *,
    covariates: Mapping[str, Any] | None = None,
    views: str = "",
) -> Predicted:
    """The mean prediction of the models for each image.

    Args:
      trained: models, and what is known of them.
      images: NIfTI files.
      covariates: column -> value, where the models need some.
      views: of each scan, a call; empty: those of the experiment.

    Raises:
      ValueError: naming the image that cannot be used, or the covariate that is missing.
    """
    models = trained.models
    experiment = models[0].experiment
    names = list(experiment.inputs.covariates)
    columns = read_covariates(covariates or {}, names, len(images))
    preparation = preparation_of(experiment)
    loaded = [load_image(path, preparation, columns) for path in images]
    for path, (_, notes) in zip(images, loaded):
        require_brain(path, experiment.recipe, notes)
    scans = concatenate([one for one, _ in loaded])
    values = average(models, scans, views)
    notices = [
        f"Note: {reason}: {text}"
        for _, notes in loaded
        for reason, text in notes.items()
        if reason != WITHOUT_SKULL  # of interest where sites are compared
    ]
    known = warn(trained.find_known(scans), len(scans))
    return Predicted(
        values,
        experiment.unit,
        experiment.classes,
        len(models),
        notices + ([known] if known else []),
    )


def predict_one(
    trained: Trained, image: Path, covariates: Mapping[str, Any]
) -> float | dict[str, float]:
    """The prediction for one image, or the probability of each class; what is to be said of it is a
    warning.

    Args:
      trained: models, and what is known of them.
      image: a NIfTI file.
      covariates: column -> value, where the models need some.

    Raises:
      ValueError: as `predict_images`.
    """
    predicted = predict_images(trained, [image], covariates=covariates)
    for sentence in predicted.warnings:
        warnings.warn(sentence, stacklevel=3)
    [value] = predicted.values
    classes = predicted.classes
    return dict(zip(classes, value.tolist())) if classes else float(value)


def _in_words(value: Any, predicted: Predicted) -> str:
    """`41.3 years`, or `M (F 0.08, M 0.92)`."""
    if not predicted.classes:
        return f"{value:.1f} {predicted.unit}"
    name, *shares = prediction_cells(value, predicted.classes, ".2f")
    told = ", ".join(f"{k} {share}" for k, share in zip(predicted.classes, shares))
    return f"{name} ({told})"


def run(
    trained: Trained,
    images: list[Path],
    output: Path | None,
    *,
    covariates: Mapping[str, str],
    views: str,
) -> None:
    """Prints the prediction for each image, with its unit and the error that is usual.

    Args:
      trained: models, and what is known of them.
      images: NIfTI files.
      output: a table to write, or None.
      covariates: column -> value.
      views: of each scan, a call; empty: those of the experiment.

    Raises:
      ValueError: naming what cannot be used.
    """
    predicted = predict_images(trained, images, covariates=covariates, views=views)
    for path, value in zip(images, predicted.values):
        print(f"{path}: {_in_words(value, predicted)}")
    print(f"Mean of {predicted.models} model{'s' if predicted.models > 1 else ''}.")
    for line in trained.errors:
        print(line)
    for warning in predicted.warnings:
        print(warning)
    if output:
        rows = [
            (path, *prediction_cells(value, predicted.classes, ".3f"))
            for path, value in zip(images, predicted.values)
        ]
        write_table(output, ["image", *prediction_columns(predicted.classes)], rows)
        print(f"{len(rows)} predictions in {output}")
