"""A file of all models of an experiment, from which `fedbrain predict --model` predicts: weights,
configuration, error, intervals, and for whom it holds.

    repeat0-split0/params/conv1/kernel    arrays in float16, of every split
    release                               what is needed beside them, as JSON in the description

Float16 halves the file and moves a weight by at most 1 part in 2,000. Sites, folders and starting
points of the configuration are not written, and not read either.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors import SafetensorError

from fedbrain.analysis.conformal import Margins
from fedbrain.experiments.compiled import random_variables
from fedbrain.experiments.config import Experiment
from fedbrain.experiments.harmonised_images import require_raw
from fedbrain.experiments.known_people import People, find_among, people_of
from fedbrain.experiments.model_description import describe_model
from fedbrain.experiments.new_people import validation_margins
from fedbrain.experiments.saved_models import experiment_of, load_named, read_identity
from fedbrain.experiments.stored_json import damaged
from fedbrain.experiments.trained_models import Model, Trained, usual_error
from fedbrain.experiments.workdir import clean, config_of
from fedbrain.models.files.safetensors_file import (
    read_description,
    read_safetensors,
    write_safetensors,
)
from fedbrain.models.files.weights import fill, flatten, require_ending
from fedbrain.training.evaluate import make_evaluate

ENTRY = "release"  # of the description
WHAT = "a file of `fedbrain export --all`"
PRECISION = np.float16
# what a file says of neither sites nor this machine
NOT_WRITTEN: dict[str, Any] = {
    "sites": {}, "norms": (), "describe": (), "baselines": (), "report_by": (),
    "initial": "random()", "cache": "~/.cache/fedbrain/volumes",
}  # fmt: skip


class About(NamedTuple):
    """What its maker says of a release."""

    note: str  # for whom it holds, licence; printed with predictions
    people: bool  # whether ids and digests of the people are in the file: of public data alone


def write_release(
    workdir: Path, output: str, about: About, *, federation: str, client: str
) -> None:
    """Writes the models of all splits of a federation into one file.

    Args:
      workdir: of a finished experiment.
      output: path of the file.
      about: what its maker says.
      federation: federated, centralised, local-<client>.
      client: whose private leaves to use, for a federation that keeps some.

    Raises:
      ValueError: for another ending of the file, no such model, or numbers beyond float16.
    """
    require_ending(output)
    experiment, data = read_identity(workdir)
    require_raw(workdir, experiment)
    models = load_named(workdir, federation=federation, client=client)
    splits = len(experiment.repeats) * experiment.inner_splits
    if len(models) < splits:
        raise ValueError(
            f"{workdir}: expected models of {splits} splits, got {len(models)}. Run the experiment"
            " to its end."
        )
    arrays = {
        f"{split}/{name}": _rounded(value, name)
        for split, (_, variables) in models.items()
        for name, value in flatten(variables).items()
    }
    config = {**config_of(workdir), **NOT_WRITTEN}
    people = people_of([workdir], federation) if about.people else People(set(), set(), [])
    told = None
    if not experiment.classes:
        told = validation_margins([workdir], federation, client, "test")._asdict()
    release = {
        "config": config,
        "shape": list(data["shape"]),
        "weights": {split: weight for split, (weight, _) in models.items()},
        "margins": told,
        "error": usual_error(workdir, federation),
        "note": about.note,
        "images": sorted(people.images),
        "people": sorted(people.ids),
    }
    which = ", ".join(filter(None, (federation, client, f"{len(models)} splits")))
    shape = tuple(data["shape"])
    description = describe_model(config, experiment, shape, model=which, torch=False)
    told_as = json.dumps(clean(release), sort_keys=True)
    write_safetensors(Path(output), arrays, {**description, ENTRY: told_as})
    size = Path(output).stat().st_size / 1000
    print(f"{output}: {which}, {size:.0f} kB; `fedbrain predict --model={output}` predicts by it.")


def _rounded(value: np.ndarray, name: str) -> np.ndarray:
    with np.errstate(over="ignore"):
        short = np.asarray(value, PRECISION)
    if not np.isfinite(short).all():
        raise ValueError(f"{name}: expected numbers within 65,504, the largest float16, got more.")
    return short


def read_release(path: Path) -> Trained:
    """The models of a file, and what it says of new people.

    Args:
      path: of the file.

    Raises:
      ValueError: naming the file, for another file, or one that is damaged.
    """
    if not path.is_file():
        raise ValueError(f"{path}: expected {WHAT}, got no file there.")
    told = _told(path)
    try:
        return _trained(path, told)
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise damaged(path, WHAT, f"a file with other fields ({error})") from None


def _told(path: Path) -> dict[str, Any]:
    try:
        text = read_description(path.read_bytes()).get(ENTRY)
        told = None if text is None else json.loads(text)
    except (SafetensorError, ValueError, RecursionError, AttributeError):
        raise ValueError(
            f"{path}: expected {WHAT}, got a file that is damaged, or of another kind."
        ) from None
    if not isinstance(told, dict):
        raise ValueError(
            f"{path}: expected {WHAT}, got a file without {ENTRY!r} in its description. A file of"
            " one model starts training: --config.initial=\"file('FILE')\"."
        )
    return told


def _trained(path: Path, told: Mapping[str, Any]) -> Trained:
    experiment = experiment_of({**told["config"], **NOT_WRITTEN}, path)
    stored = told["margins"]
    margins = None if stored is None else Margins(stored["people"], *_numbers(stored))
    people = People(set(told["images"]), set(told["people"]), [] if told["people"] else [path])
    note = [told["note"]] if told["note"] else []
    return Trained(
        _models(path, experiment, tuple(told["shape"]), told["weights"]),
        margins,
        [f"{path.stem}: each model alone, cross-validated: {told['error']}", *note],
        lambda scans: find_among(people, scans),
        "people of the cross-validation",
        of_file=True,
    )


def _numbers(stored: Mapping[str, Any]) -> list[float]:
    """The fields of `Margins` behind the first; JSON has null for NaN."""
    return [np.nan if stored[k] is None else float(stored[k]) for k in Margins._fields[1:]]


def _models(
    path: Path, experiment: Experiment, shape: tuple[int, ...], weights: Mapping[str, float]
) -> list[Model]:
    outline, evaluate = random_variables(experiment, shape), make_evaluate(experiment.task)
    arrays = read_safetensors(path)
    models = []
    for split, weight in sorted(weights.items()):
        start = f"{split}/"
        own = {n.removeprefix(start): a for n, a in arrays.items() if n.startswith(start)}
        variables, _ = fill(outline, own, str(path), head=True)
        models.append(Model(experiment, evaluate, float(weight), variables))
    if not models:
        raise KeyError("no models")
    return models
