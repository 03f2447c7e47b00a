"""Predictions of trained models for scans that they were not trained on: the validation and test
scans of their own site, and the test scans of every site.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from fedbrain.analysis.predictions import Predictions, concatenate
from fedbrain.analysis.results import RegimePredictions
from fedbrain.data.dataset import Scans
from fedbrain.data.dataset import concatenate as concatenate_scans
from fedbrain.data.regimes import Federation
from fedbrain.data.splits import Split
from fedbrain.experiments.checkpoints import tree_digest
from fedbrain.experiments.config import Experiment
from fedbrain.experiments.federation import Trained
from fedbrain.experiments.predict_scans import predict_scans
from fedbrain.experiments.split_id import SplitId
from fedbrain.training.evaluate import Evaluate


class Evaluation(NamedTuple):
    """Predictions of a regime, a single model or a baseline on one split."""

    name: str  # of the regime, the model or the baseline
    split_id: SplitId  # which split
    weight: float  # among the inner splits of a repeat: 1 / validation loss
    predictions: Mapping[str, Mapping[str, Predictions]]  # site -> part -> predictions


# site -> part ("valid", "test") -> (client whose model predicts, scans)
Assignment = Mapping[str, Mapping[str, tuple[str, Scans]]]


def floor_of(scans: Scans, classes: tuple[str, ...]) -> Float[np.ndarray, "*k"]:
    """What is said of everybody without an image: the median target, or the share of people in each
    class.

    Args:
      scans: that a model was trained on.
      classes: names, where the target is a class.
    """
    if not classes:
        return np.asarray(np.median(scans.target))
    people = sorted(set(zip(scans.subjects, scans.target.astype(int).tolist())))
    counts = np.bincount([number for _, number in people], minlength=len(classes))
    return counts / counts.sum()


def to_predictions(
    site: str,
    scans: Scans,
    values: np.ndarray,
    floor: Float[np.ndarray, "*k"],
    classes: tuple[str, ...] = (),
) -> Predictions:
    """Predictions with their subjects and targets.

    Two sites may both have a `sub-01`, so the site's name is part of the subject's.

    Args:
      site: of the scans.
      scans: what was predicted.
      values: predictions [n] in the target's unit, or probabilities [n k].
      floor: see `floor_of`.
      classes: names, where the target is a class.
    """
    subjects = [f"{site}/{subject}" for subject in scans.subjects]
    return Predictions(
        subjects,
        scans.target,
        np.asarray(values, np.float32),
        np.full((len(scans), *np.shape(floor)), floor, np.float32),
        classes,
    )


def predict_assigned(
    assignment: Assignment,
    federation: Federation,
    trained: Trained,
    evaluate: Evaluate,
    experiment: Experiment,
) -> dict[str, dict[str, Predictions]]:
    """Predictions for scans, each by the model of the client that they are assigned to.

    Args:
      assignment: scans, and who predicts for them.
      federation: whose training targets give the floor of every client.
      trained: the models.
      evaluate: of the experiment's task.
      experiment: says how scans are presented.

    Returns:
      Site -> part -> predictions.
    """
    classes = experiment.classes
    floors = {name: floor_of(scans, classes) for name, scans in _known_to(federation).items()}
    return {
        site: {
            part: to_predictions(
                site,
                scans,
                predict_scans(evaluate, trained.variables[client], scans, experiment),
                floors[client],
                classes,
            )
            for part, (client, scans) in parts.items()
        }
        for site, parts in assignment.items()
    }


def _known_to(federation: Federation) -> dict[str, Scans]:
    """Client -> training scans that its floor is made of: its own; those of all clients where the
    sites that the model is tested at do not train.
    """
    own = {name: client.train for name, client in federation.clients.items()}
    if set(own) & set(federation.model_of_site):
        return own
    return dict.fromkeys(own, concatenate_scans(list(own.values())))


def assign_own_sites(federation: Federation, splits: Mapping[str, Split]) -> Assignment:
    """Validation and test scans of every site, each to the client whose model the site uses.

    Args:
      federation: says whose model a site uses.
      splits: site -> scans.
    """
    return {
        site: {"valid": (client, splits[site].valid), "test": (client, splits[site].test)}
        for site, client in federation.model_of_site.items()
    }


def assign_all_sites(
    federation: Federation, trained: Trained, splits: Mapping[str, Split]
) -> dict[str, Assignment]:
    """Test scans of all sites, to every client in turn.

    Args:
      federation: gives the names of models.
      trained: its models.
      splits: site -> scans.

    Returns:
      Name of the model -> assignment; empty where all clients have the same model.
    """
    alone = len(federation.model_of_site) < len(splits)
    same = len({tree_digest(v) for v in trained.variables.values()}) == 1
    if not alone and same:
        return {}
    models = list(trained.variables)[:1] if same else trained.variables
    names = {m: federation.name if same else f"{federation.name}-{m}" for m in models}
    return {
        names[m]: {site: {"test": (m, split.test)} for site, split in splits.items()} for m in names
    }


def combine_splits(evaluations: list[Evaluation]) -> RegimePredictions:
    """One set of predictions per name and site, over the inner splits of a repeat.

    Predictions for test scans are averaged, weighted by 1 / validation loss. Validation scans
    differ between inner splits, so theirs are put together instead, each from the model that did
    not train on it.

    Args:
      evaluations: of one repeat.

    Returns:
      Name -> site -> part -> predictions.
    """
    grouped: dict[str, dict[str, list[Evaluation]]] = {}
    for evaluation in evaluations:
        for site in evaluation.predictions:
            grouped.setdefault(evaluation.name, {}).setdefault(site, []).append(evaluation)
    return {
        name: {site: _combine(site, clients) for site, clients in sites.items()}
        for name, sites in grouped.items()
    }


def _combine(site: str, evaluations: list[Evaluation]) -> dict[str, Predictions]:
    parts = [e.predictions[site] for e in evaluations]
    tests = [part["test"] for part in parts if "test" in part]
    valids = [part["valid"] for part in parts if "valid" in part]
    mean = np.average(
        [t.prediction for t in tests], axis=0, weights=[e.weight for e in evaluations]
    ).astype(np.float32)
    test = tests[0]._replace(
        prediction=mean, floor=np.mean([t.floor for t in tests], axis=0, dtype=np.float32)
    )
    return {"test": test} | ({"valid": concatenate(valids)} if valids else {})
