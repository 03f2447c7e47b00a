"""Trained models whose predictions are averaged, and what is known of them: from work directories,
or from a file of `fedbrain export --all`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from fedbrain.analysis.columns import columns_of
from fedbrain.analysis.conformal import Margins
from fedbrain.data.dataset import Scans
from fedbrain.data.regimes import LEFT_OUT
from fedbrain.experiments.config import Experiment
from fedbrain.experiments.harmonised_images import require_raw
from fedbrain.experiments.known_people import Known, find_known
from fedbrain.experiments.new_people import validation_margins
from fedbrain.experiments.saved_models import load_models, read_identity
from fedbrain.experiments.stored_json import read_stored
from fedbrain.training.evaluate import Evaluate, make_evaluate
from fedbrain.types import Variables


class Model(NamedTuple):
    """One of the models whose predictions are averaged."""

    experiment: Experiment  # that trained it
    evaluate: Evaluate  # of its task
    weight: float  # 1 / validation loss
    variables: Variables  # of the network


class Trained(NamedTuple):
    """Models, and what is said of a new person beside their prediction."""

    models: list[Model]
    margins: Margins | None  # how wide intervals are; None: of classes
    errors: list[str]  # what is known of the error, and for whom: a line each
    find_known: Callable[[Scans], Known]  # people who trained the models, among new scans
    margins_of: str = "validation people"  # whose errors the margins are
    of_file: bool = False  # of others, perhaps: the error and for whom it holds are always said


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
    for workdir, (experiment, _) in zip(workdirs, identities):
        require_raw(workdir, experiment)
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


def of_workdirs(workdirs: list[Path], *, federation: str, client: str) -> Trained:
    """Models of finished experiments; arguments and errors as `read_models`."""
    models = read_models(workdirs, federation=federation, client=client)
    classes = models[0].experiment.classes
    return Trained(
        models,
        None if classes else validation_margins(workdirs, federation, client),
        [f"{workdir}: {usual_error(workdir, federation)}" for workdir in workdirs],
        lambda scans: find_known(workdirs, federation, scans),
    )


def usual_error(workdir: Path, federation: str) -> str:
    """How far the model was off for test people, or why that is not known.

    Args:
      workdir: of the experiment.
      federation: whose model.
    """
    path = workdir / "results.json"
    if not path.exists():
        return "no error is known, since results.json is not there."
    try:
        results = read_stored(path, "the results of an experiment")
        regime, _, client = federation.partition("-")
        regime = "leave_one_site_out" if f"{regime}-" == LEFT_OUT else regime
        of_regime = results["regimes"][regime]
        accuracy = of_regime["clients"][client] if client else of_regime["pooled"]
        told = columns_of(results).sentence(accuracy, results["unit"])
        text = f"{accuracy['subjects']} test people: {told}."
        return f"SYNTHETIC training data. {text}" if results["synthetic"] else text
    except (OSError, ValueError, KeyError, TypeError):
        return f"no error is known, since results.json is damaged or does not tell of {federation}."
