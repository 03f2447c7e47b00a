"""The model that a run between hospitals starts from, where it is not that of the seed: the centre
reads it, names it in the job by its hash, and keeps it for the first question.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from fedbrain.deploy.protocol.config_hash import config_hash
from fedbrain.deploy.protocol.job import Agreement
from fedbrain.experiments.checkpoints import tree_digest
from fedbrain.experiments.compiled import image_shape, random_variables
from fedbrain.experiments.config import read_experiment
from fedbrain.experiments.saved_models import is_of_hospitals
from fedbrain.experiments.spec import bind, choose
from fedbrain.experiments.split_id import SplitId
from fedbrain.experiments.starting_point import INITIALS, record_starting_point
from fedbrain.experiments.workdir import config_of
from fedbrain.models.files.weights import Loaded, load, save
from fedbrain.types import Variables


class StartingModel(NamedTuple):
    """A model that is sent."""

    variables: Variables
    loaded: Loaded  # where it comes from
    split_id: SplitId  # which split of the run starts from it


def name_start(config: Mapping[str, Any]) -> tuple[dict[str, Any], StartingModel | None]:
    """Reads the model of `config.initial`.

    Args:
      config: of an experiment.

    Returns:
      (the configuration with the model named by its hash, the model); the model is None where
      training starts from the seed.

    Raises:
      ValueError: naming the folder or the file.
    """
    experiment = read_experiment(ConfigDict({**config, "sites": {}}))
    split_id = SplitId(experiment.repeats[0])
    start = choose("initial", experiment.initial, INITIALS)
    fresh = random_variables(experiment, image_shape(experiment))
    variables, loaded = start(fresh, split_id)
    if loaded is None:
        return dict(config), None
    name, bound = bind(experiment.initial, INITIALS)
    words = [repr(tree_digest(variables))]
    if name == "run" and is_of_hospitals(workdir := Path(bound.arguments["workdir"]).expanduser()):
        bound.apply_defaults()
        words += [f"run={config_hash(config_of(workdir))!r}"]
        words += [f"head={bound.arguments['head']}"]
    named = {**config, "initial": f"sent({', '.join(words)})"}
    return named, StartingModel(variables, loaded, split_id)


def keep_start(workdir: Path, start: StartingModel | None) -> None:
    """Writes the model into the work directory, and where it comes from.

    Args:
      workdir: of the run.
      start: the model; None: nothing is written.
    """
    if start is None:
        return
    path = workdir / "initial" / f"{start.split_id.name}.json"
    record_starting_point(path, start.loaded, tree_digest(start.variables))
    save(start.variables, str(path.with_suffix(".safetensors")), torch=False)


def with_start(agreement: Agreement, workdir: Path) -> Agreement:
    """The agreement with the model that `keep_start` wrote as its first one.

    Args:
      agreement: of the job.
      workdir: of the run.

    Raises:
      ValueError: when the model that the job names is not there.
    """
    if agreement.start is None:
        return agreement
    path = workdir / "initial" / f"{agreement.split_id.name}.safetensors"
    if not path.is_file():
        raise ValueError(f"{path}: expected the model that the job starts from, got no file.")
    variables, _ = load(agreement.fresh, str(path), head=True)
    if tree_digest(variables) != agreement.start.sha256:
        raise ValueError(
            f"{path}: expected the model {agreement.start.sha256[:16]}... that the job names, got"
            " another."
        )
    return agreement._replace(fresh=variables)
