"""Trains every regime on every inner split of a repeat.

Repeats change the test subjects. Inner splits train on the same non-test subjects with other
validation subjects; their predictions are averaged with weights 1 / validation loss. Each inner
split is a federation of its own, so no model is ever selected on, or averaged with one that was
trained on, its own validation subjects.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

from fedbrain import progress
from fedbrain.data.dataset import Scans, shape_of
from fedbrain.data.splits import Split
from fedbrain.experiments.baselines import BASELINES
from fedbrain.experiments.checkpoints import tree_digest
from fedbrain.experiments.compiled import Compiled, random_variables
from fedbrain.experiments.config import Experiment
from fedbrain.experiments.federation import Trained, train
from fedbrain.experiments.harmonised_images import harmonise
from fedbrain.experiments.predictions import (
    Evaluation,
    assign_all_sites,
    assign_own_sites,
    predict_assigned,
)
from fedbrain.experiments.round_end import split_weight
from fedbrain.experiments.spec import choose
from fedbrain.experiments.split_id import SplitId, split_clients
from fedbrain.experiments.starting_point import INITIALS, record_starting_point
from fedbrain.types import Variables


class Run(NamedTuple):
    """One trained federation and its predictions."""

    folder: Path  # of its checkpoints and metrics
    regime: str  # federated, centralised or local
    trained: Trained  # models of the best round
    own: Evaluation  # validation and test scans of every site, by the model that the site uses
    crossed: list[Evaluation]  # test scans of all sites, by every client; empty with one model


class Repeat(NamedTuple):
    """Everything about one choice of test subjects."""

    runs: list[Run]  # of every regime and inner split
    baselines: list[Evaluation]  # of every inner split
    ids: dict[tuple[str, SplitId, str], tuple[str, ...]]  # (site, split, part) -> ids of scans


def run_folder(workdir: Path, federation: str, split_id: SplitId) -> Path:
    """Where a federation's checkpoints and metrics are.

    Args:
      workdir: of the experiment.
      federation: its name.
      split_id: which split.
    """
    return workdir / "runs" / federation / split_id.name


def progress_title(experiment: Experiment, federation: str, split_id: SplitId) -> str:
    """What the progress bar calls a federation: with repeat and split where there are several.

    Args:
      experiment: says how many repeats and splits there are.
      federation: its name.
      split_id: which split.
    """
    title = federation
    if len(experiment.repeats) > 1:
        title += f" repeat {split_id.repeat}"
    if experiment.inner_splits > 1:
        title += f" split {split_id.inner + 1}/{experiment.inner_splits}"
    return title


def run_regime(
    regime: str,
    experiment: Experiment,
    compiled: Compiled,
    initial: Variables,
    splits: Mapping[str, Split],
    *,
    workdir: Path,
    split_id: SplitId,
) -> list[Run]:
    """Trains the federations of a regime on one split, and predicts validation and test scans.

    Args:
      regime: federated, centralised or local.
      experiment: what is trained.
      compiled: functions of the experiment.
      initial: the model that training starts from.
      splits: client -> scans.
      workdir: of the experiment.
      split_id: which split `splits` is.
    """
    runs = []
    for federation in experiment.regimes[regime](splits):
        folder = run_folder(workdir, federation.name, split_id)
        trained = train(
            federation,
            experiment,
            compiled,
            initial,
            folder=folder,
            seed=split_id.seed(experiment.seed),
            title=progress_title(experiment, federation.name, split_id),
        )
        predict = partial(
            predict_assigned,
            federation=federation,
            trained=trained,
            evaluate=compiled.evaluate,
            experiment=experiment,
        )
        weight = split_weight(trained.selection)
        own = predict(assign_own_sites(federation, splits))
        crossed = [
            Evaluation(model, split_id, weight, predict(assignment))
            for model, assignment in assign_all_sites(federation, trained, splits).items()
        ]
        runs.append(
            Run(folder, regime, trained, Evaluation(regime, split_id, weight, own), crossed)
        )
    return runs


def starting_model(
    experiment: Experiment, splits: Mapping[str, Split], split_id: SplitId, *, workdir: Path
) -> Variables:
    """The model that every regime starts from on a split; recorded in the work directory.

    Args:
      experiment: says where training starts from.
      splits: client -> scans.
      split_id: which split `splits` is.
      workdir: of the experiment.
    """
    fresh = random_variables(experiment, shape_of([split.train for split in splits.values()]))
    initial, loaded = choose("initial", experiment.initial, INITIALS)(fresh, split_id)
    if loaded is not None:
        progress.say(f"Starts from {loaded}")
        record_starting_point(
            workdir / "initial" / f"{split_id.name}.json", loaded, tree_digest(initial)
        )
    return initial


def run_repeat(
    experiment: Experiment,
    compiled: Compiled,
    clients: Mapping[str, Scans],
    *,
    workdir: Path,
    repeat: int,
) -> Repeat:
    """Runs all regimes and inner splits of one choice of test subjects.

    Args:
      experiment: what is trained.
      compiled: functions of the experiment.
      clients: name -> scans.
      workdir: of the experiment.
      repeat: which choice.
    """
    done = Repeat([], [], {})
    baselines = [choose("baselines", spec, BASELINES) for spec in experiment.baselines]
    for inner in range(experiment.inner_splits):
        split_id = SplitId(repeat, inner)
        splits = harmonise(experiment, split_clients(experiment, clients, split_id))
        for site, split in splits.items():
            done.ids[site, split_id, "valid"] = split.valid.ids
            done.ids[site, split_id, "test"] = split.test.ids
        done.baselines.extend(
            Evaluation(baseline.title, split_id, 1.0, baseline.predict(splits, split_id))
            for baseline in baselines
        )
        initial = starting_model(experiment, splits, split_id, workdir=workdir)
        for regime in experiment.regimes:
            done.runs.extend(
                run_regime(
                    regime,
                    experiment,
                    compiled,
                    initial,
                    splits,
                    workdir=workdir,
                    split_id=split_id,
                )
            )
    return done
