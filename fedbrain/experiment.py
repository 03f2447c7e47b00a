"""An experiment: sites -> clients -> splits -> federations of every regime -> predictions -> results.

Repeats change the test subjects. Inner splits train on the same non-test subjects with other validation subjects; their
predictions are averaged with weights 1 / validation loss. Each inner split is a federation of its own, so no model is
ever selected on, or averaged with one that was trained on, its own validation subjects.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from tqdm import tqdm

from fedbrain.build import Experiment
from fedbrain.data.dataset import Scans, data_fingerprint, shape_of
from fedbrain.data.pipeline import eval_batches, example_batch, pipeline_seed
from fedbrain.data.report import Report
from fedbrain.data.sites import Wanted
from fedbrain.data.splits import Split, split_scans
from fedbrain.federation import Machine, Trained, random_variables, train
from fedbrain.footprint import Footprint, footprint
from fedbrain.initial import INITIALS
from fedbrain.io.run import write_json
from fedbrain.placement import choose_driver, choose_residence, measure
from fedbrain.report.results import Judged
from fedbrain.report.statistics import Predictions, concatenate
from fedbrain.residence import RESIDENCES
from fedbrain.round import DRIVERS
from fedbrain.spec import choose
from fedbrain.types import Variables


class Run(NamedTuple):
    """One trained federation and what it says about its sites."""

    folder: Path
    regime: str
    trained: Trained
    judged: dict[str, dict[str, Predictions]]  # site -> part -> predictions
    ids: dict[str, dict[str, tuple[str, ...]]]  # the same, scan ids


def load_clients(experiment: Experiment) -> tuple[dict[str, Scans], list[Report]]:
    """Reads and prepares every site and cuts them into clients."""
    cache = Path(experiment.cache).expanduser()
    wanted = Wanted(experiment.recipe, cache, experiment.modalities)
    strange = sorted(set(experiment.norms) - set(experiment.sites))
    if strange:
        raise ValueError(f"config.norms: expected names of sites, {', '.join(experiment.sites)}, got {strange[0]!r}.")
    loaded, reports = {}, []
    for name, site in experiment.sites.items():
        scans, report = site(name, wanted)
        loaded[name] = experiment.norms[name](scans, report) if name in experiment.norms else scans
        reports.append(report)
    return experiment.partition(loaded), reports


def place(experiment: Experiment, clients: Mapping[str, Scans]) -> tuple[Experiment, str]:
    """The experiment with residence and driver, and a line that says which and why; empty when the configuration says it."""
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
    return footprint(experiment.algorithm, outline, example_batch(shape, experiment.batch_size, experiment.inputs))


def fingerprints(clients: Mapping[str, Scans]) -> dict[str, Any]:
    """What identifies the data: a digest of ids and labels per client, and the shape of the volumes."""
    shape = list(shape_of(list(clients.values())))
    return {"shape": shape, "clients": {n: data_fingerprint(s) for n, s in clients.items()}}


def run_folder(workdir: Path, federation: str, repeat: int, inner: int) -> Path:
    """Where a federation's checkpoints and metrics are."""
    return workdir / "runs" / federation / f"repeat{repeat}-split{inner}"


def predict(
    experiment: Experiment, machine: Machine, trained: Trained, member: str, site: str, scans: Scans, floor: float
) -> Predictions:
    """Applies a member's model to a site's scans. Two sites may both have a `sub-01`, so people are told apart by site."""
    batches = eval_batches(scans, batch_size=experiment.batch_size, inputs=experiment.inputs)
    values, _ = machine.evaluate(trained.variables[member], batches)
    people = [f"{site}/{subject}" for subject in scans.subjects]
    return Predictions(people, scans.target, values, np.full(len(scans), floor, np.float32))


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
    """Trains the federations of a regime on one split, and judges them on validation and test scans."""
    runs = []
    for federation in experiment.regimes[regime](splits):
        folder = run_folder(workdir, federation.name, repeat, inner)
        seed = pipeline_seed(experiment.seed, repeat, inner)
        title = federation.name + (f" {repeat + 1}/{experiment.repeats}" if experiment.repeats > 1 else "")
        title += f" split {inner + 1}/{experiment.inner_splits}" if experiment.inner_splits > 1 else ""
        trained = train(federation, experiment, machine, initial, folder=folder, seed=seed, title=title)
        judged, ids = {}, {}
        for site, member in federation.judged.items():
            floor = float(np.median(federation.members[member].train.target))
            parts = {"valid": splits[site].valid, "test": splits[site].test}
            judged[site] = {
                part: predict(experiment, machine, trained, member, site, scans, floor) for part, scans in parts.items()
            }
            ids[site] = {part: scans.ids for part, scans in parts.items()}
        runs.append(Run(folder, regime, trained, judged, ids))
    return runs


def run_repeat(
    experiment: Experiment, machine: Machine, clients: Mapping[str, Scans], *, workdir: Path, repeat: int
) -> list[Run]:
    """All regimes and inner splits of one choice of test subjects."""
    runs = []
    how = {"seed": experiment.split_seed, "stratify": experiment.stratify}
    for inner in range(experiment.inner_splits):
        splits = {
            name: experiment.target(split_scans(scans, experiment.fractions, repeat=repeat, inner=inner, **how))
            for name, scans in clients.items()
        }
        fresh = random_variables(experiment, shape_of([split.train for split in splits.values()]))
        initial, told = choose("initial", experiment.initial, INITIALS)(fresh, repeat, inner)
        if told is not None:
            tqdm.write(f"Starts from {told}")
            write_json(workdir / "initial" / f"repeat{repeat}-split{inner}.json", told._asdict())
        for regime in experiment.regimes:
            runs += run_regime(regime, experiment, machine, initial, splits, workdir=workdir, repeat=repeat, inner=inner)
    return runs


def combine_splits(runs: list[Run]) -> Judged:
    """One set of predictions per regime and site: the mean over inner splits, weighted by 1 / validation loss.

    Validation scans differ between inner splits, so theirs are put together instead, each from the model that did not
    train on it.
    """
    grouped: dict[str, dict[str, list[Run]]] = {}
    for run in runs:
        for site in run.judged:
            grouped.setdefault(run.regime, {}).setdefault(site, []).append(run)
    return {
        regime: {
            site: {"valid": _together(site, members), "test": _weighted(site, members)} for site, members in sites.items()
        }
        for regime, sites in grouped.items()
    }


def _weighted(site: str, runs: list[Run]) -> Predictions:
    weights = np.asarray([1 / max(float(r.trained.selection.best_loss), 1e-9) for r in runs])
    tests = [r.judged[site]["test"] for r in runs]
    mean = np.average([t.prediction for t in tests], axis=0, weights=weights).astype(np.float32)
    return tests[0]._replace(prediction=mean, floor=np.mean([t.floor for t in tests], axis=0, dtype=np.float32))


def _together(site: str, runs: list[Run]) -> Predictions:
    parts = [r.judged[site]["valid"] for r in runs]
    return concatenate(parts)
