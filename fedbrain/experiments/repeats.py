"""An experiment: sites -> clients -> splits -> federations of every regime -> predictions ->
results.

Repeats change the test subjects. Inner splits train on the same non-test subjects with other
validation subjects; their predictions are averaged with weights 1 / validation loss. Each inner
split is a federation of its own, so no model is ever selected on, or averaged with one that was
trained on, its own validation subjects.
"""

import json
import math
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
from tqdm import tqdm

from fedbrain.data.dataset import Scans, shape_of
from fedbrain.data.pipeline import example_batch, pipeline_seed
from fedbrain.data.splits import Split, split_scans
from fedbrain.experiments.baselines import BASELINES
from fedbrain.experiments.checkpoints import tree_digest
from fedbrain.experiments.config import Experiment
from fedbrain.experiments.federation import Machine, Trained, random_variables, train
from fedbrain.experiments.predictions import Verdict, ask, crossed_questions, own_questions
from fedbrain.experiments.spec import choose
from fedbrain.experiments.starting_point import INITIALS
from fedbrain.experiments.workdir import write_json
from fedbrain.models.files.weights import Loaded
from fedbrain.training.device_volumes import RESIDENCES
from fedbrain.training.footprint import Footprint, footprint
from fedbrain.training.memory_plan import choose_driver, choose_residence, measure
from fedbrain.training.round import DRIVERS
from fedbrain.types import Variables


class Run(NamedTuple):
    """One trained federation and what it says about its sites."""

    folder: Path
    regime: str
    trained: Trained
    own: Verdict  # everybody's model on everybody's own scans
    crossed: list[
        Verdict
    ]  # a member's model on the test scans of all sites, where members' models differ


class Repeat(NamedTuple):
    """Everything about one choice of test subjects."""

    runs: list[Run]
    baselines: list[Verdict]
    ids: dict[tuple[str, str, str], tuple[str, ...]]  # (site, split, part) -> scans


def place(experiment: Experiment, clients: Mapping[str, Scans]) -> tuple[Experiment, str]:
    """The experiment with residence and driver, and a line that says which and why; empty when the
    configuration says it.
    """
    if experiment.driver is not None and experiment.residence is not None:
        return experiment, ""
    shape = shape_of(list(clients.values()))
    batch = example_batch(shape, experiment.batch_size, experiment.inputs)
    sizes = measure(experiment.algorithm, random_variables(experiment, shape), batch, len(clients))
    voxels, lines = math.prod(shape) * sum(len(scans) for scans in clients.values()), []
    if experiment.residence is None:
        spec, reason = choose_residence(sizes, 2 * voxels)
        experiment = experiment._replace(residence=choose("residence", spec, RESIDENCES))
        lines.append(f"Volumes {spec}: {reason}.")
    assert experiment.residence is not None
    left = max(sizes.device_bytes - 2 * voxels * experiment.residence.itemsize, 0)
    if experiment.driver is None:
        spec, reason = choose_driver(sizes._replace(device_bytes=left))
        experiment = experiment._replace(driver=choose("driver", spec, DRIVERS))
        lines.append(f"Driver {spec}: {reason}.")
    return experiment, " ".join(lines)


def measure_footprint(experiment: Experiment, clients: Mapping[str, Scans]) -> Footprint:
    """What is trained and sent."""
    shape = shape_of(list(clients.values()))
    outline = jax.eval_shape(lambda: random_variables(experiment, shape))
    return footprint(
        experiment.algorithm,
        outline,
        example_batch(shape, experiment.batch_size, experiment.inputs),
    )


def run_folder(workdir: Path, federation: str, repeat: int, inner: int) -> Path:
    """Where a federation's checkpoints and metrics are."""
    return workdir / "runs" / federation / f"repeat{repeat}-split{inner}"


def run_regime(
    regime: str,
    experiment: Experiment,
    machine: Machine,
    initial: Variables,
    splits: Mapping[str, Split],
    *,
    workdir: Path,
    repeat: int,
    inner: int,
) -> list[Run]:
    """Trains the federations of a regime on one split, and judges them on validation and test
    scans.
    """
    runs = []
    for federation in experiment.regimes[regime](splits):
        folder = run_folder(workdir, federation.name, repeat, inner)
        seed = pipeline_seed(experiment.seed, repeat, inner)
        title = federation.name + (f" repeat {repeat}" if len(experiment.repeats) > 1 else "")
        title += (
            f" split {inner + 1}/{experiment.inner_splits}" if experiment.inner_splits > 1 else ""
        )
        trained = train(
            federation, experiment, machine, initial, folder=folder, seed=seed, title=title
        )
        answer = partial(
            ask,
            federation=federation,
            trained=trained,
            evaluate=machine.evaluate,
            experiment=experiment,
        )
        weight = 1 / max(float(trained.selection.best_loss), 1e-9)
        own = Verdict(regime, folder.name, weight, answer(own_questions(federation, splits)))
        crossed = [
            Verdict(model, folder.name, weight, answer(questions))
            for model, questions in crossed_questions(federation, trained, splits).items()
        ]
        runs.append(Run(folder, regime, trained, own, crossed))
    return runs


def record_start(path: Path, told: Loaded, digest: str) -> None:
    """Keeps what training started from.

    Raises:
      ValueError: when this run, now resumed, had started from other numbers.
    """
    before = json.loads(path.read_text()).get("sha256") if path.is_file() else None
    if before not in (None, digest):
        raise ValueError(
            f"{path.parent.parent}: started from {told.path}, which has been trained anew since. "
            "Choose another --workdir, or delete this one."
        )
    write_json(path, {**told._asdict(), "sha256": digest})


def run_repeat(
    experiment: Experiment,
    machine: Machine,
    clients: Mapping[str, Scans],
    *,
    workdir: Path,
    repeat: int,
) -> Repeat:
    """All regimes and inner splits of one choice of test subjects."""
    done = Repeat([], [], {})
    how = {"seed": experiment.split_seed, "stratify": experiment.stratify}
    baselines = [choose("baselines", spec, BASELINES) for spec in experiment.baselines]
    for inner in range(experiment.inner_splits):
        splits = {
            name: experiment.target(
                split_scans(scans, experiment.fractions, repeat=repeat, inner=inner, **how)
            )
            for name, scans in clients.items()
        }
        name = f"repeat{repeat}-split{inner}"
        for site, split in splits.items():
            done.ids.update(
                {(site, name, "valid"): split.valid.ids, (site, name, "test"): split.test.ids}
            )
        done.baselines.extend(
            Verdict(title, name, 1.0, baseline(splits, repeat, inner))
            for title, baseline in baselines
        )
        fresh = random_variables(experiment, shape_of([split.train for split in splits.values()]))
        initial, told = choose("initial", experiment.initial, INITIALS)(fresh, repeat, inner)
        if told is not None:
            tqdm.write(f"Starts from {told}")
            record_start(workdir / "initial" / f"{name}.json", told, tree_digest(initial))
        for regime in experiment.regimes:
            done.runs.extend(
                run_regime(
                    regime,
                    experiment,
                    machine,
                    initial,
                    splits,
                    workdir=workdir,
                    repeat=repeat,
                    inner=inner,
                )
            )
    return done
