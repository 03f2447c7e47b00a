"""Models of a finished experiment, from its work directory; also of a run between hospitals."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
from ml_collections import ConfigDict

from fedbrain.experiments.checkpoints import tree_digest
from fedbrain.experiments.compiled import random_variables
from fedbrain.experiments.config import Experiment, read_experiment
from fedbrain.experiments.federation import best_models, require_trained, untrained
from fedbrain.experiments.harmonised_images import require_raw
from fedbrain.experiments.model_description import describe_model
from fedbrain.experiments.read_checkpoints import read_newest
from fedbrain.experiments.round_end import Snapshot, split_weight
from fedbrain.experiments.stored_json import damaged, part_of, read_stored
from fedbrain.experiments.workdir import CONFIGURATION, MetricsLog, config_of, read_config
from fedbrain.models.files.weights import require_ending, save
from fedbrain.models.low_rank import merged
from fedbrain.types import Variables

EXECUTION = ("driver", "residence")  # fields about the machine that trains
# that configurations of older runs lack
LATER_FIELDS = {"report_by": (), "harmonise": "none()"}
LATER_FIELDS_OF_CLIENTS = {"privacy": "none()"}


def read_identity(workdir: Path) -> tuple[Experiment, dict[str, Any]]:
    """(the experiment, what identifies its data).

    Driver and residence are left open: the machine that reads a model need not have the devices of
    the one that trained it.

    Args:
      workdir: of the experiment.

    Raises:
      ValueError: when it is no work directory of an experiment, or its configuration is damaged.
    """
    if not (workdir / "config.json").is_file():
        raise ValueError(
            f"{workdir}: expected the work directory of an experiment, got no config.json there."
        )
    path, config, identity = workdir / "config.json", config_of(workdir), read_config(workdir)
    if "data" not in identity:
        raise ValueError(
            f"{workdir}: expected the work directory of an experiment, got another one, or one of a"
            " run between hospitals by an older version."
        )
    data = part_of(identity, "data", path, CONFIGURATION)
    try:
        axes = len(data["shape"])
    except (KeyError, TypeError) as error:
        raise damaged(path, f"{CONFIGURATION} of this version", f"other fields ({error})") from None
    if axes != 4:
        raise ValueError(f"{path}: expected a shape of four axes, got {data['shape']}")
    return experiment_of(config, path), data


def experiment_of(config: Mapping[str, Any], path: Path) -> Experiment:
    """The experiment of a stored configuration.

    Args:
      config: its fields, perhaps without those of later versions.
      path: where they were stored, for the sentence.

    Raises:
      ValueError: naming the file, for a field that is absent or cannot be read.
    """
    fields = LATER_FIELDS | dict(config) | dict.fromkeys(EXECUTION, "auto()")
    client = fields.get("client")
    if isinstance(client, dict):
        fields["client"] = LATER_FIELDS_OF_CLIENTS | client
    try:
        return read_experiment(ConfigDict(fields))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    except (AttributeError, KeyError, TypeError) as error:  # a field is absent, or of another type
        raise damaged(path, f"{CONFIGURATION} of this version", f"other fields ({error})") from None


def _members(folder: Path) -> list[str]:
    path = folder / "members.json"
    if not path.is_file():
        raise ValueError(
            f"{folder}: expected a trained model, got a run that has not finished a round. Run the"
            " experiment again."
        )
    names = read_stored(path, "the names of the clients", list)
    if not names or not all(isinstance(name, str) for name in names):
        raise damaged(path, "the names of the clients", "a list without them")
    return names


def _require_trained(folder: Path, snapshot: Snapshot) -> None:
    done = int(snapshot.server.round)
    history = MetricsLog.read(folder / "metrics.jsonl")
    require_trained(folder, snapshot, [line for line in history if line["round"] <= done])


def is_of_hospitals(workdir: Path) -> bool:
    """Whether a work directory is of a run between hospitals, whose scans stay with them.

    Args:
      workdir: of an experiment.
    """
    return "clients" not in read_identity(workdir)[1]


def _read_simulated(
    experiment: Experiment, folder: Path, members: list[str], outline: Variables
) -> tuple[Snapshot, dict[str, Variables]]:
    """(the newest snapshot, every client's best model)."""
    template = untrained(experiment, [1] * len(members), outline)
    snapshot = read_newest(folder / "checkpoints", template)
    return snapshot, best_models(experiment, members, snapshot)


def _read_of_hospitals(
    experiment: Experiment, folder: Path, members: list[str], outline: Variables
) -> tuple[Snapshot, dict[str, Variables]]:
    """The same: the centre has no private state."""
    own: Any = experiment.algorithm.init_client(outline)
    if jax.tree.leaves((own.params, own.model_state)):
        raise ValueError(
            f"{folder}: expected a run whose hospitals share all layers that train, got one whose"
            " private layers stay with them. Take a hospital's own model."
        )
    template = untrained(experiment, [1] * len(members), outline)
    template = template._replace(clients=[], best_clients=[])
    snapshot = read_newest(folder / "checkpoints", template)
    model = {"params": snapshot.best_server.params, **snapshot.best_server.model_state}
    return snapshot, dict.fromkeys(members, model)


def load_models(
    workdir: Path, *, federation: str = "federated", client: str = "", split: str = "repeat*-split*"
) -> list[tuple[float, Variables]]:
    """The values of `load_named`."""
    return [*load_named(workdir, federation=federation, client=client, split=split).values()]


def load_named(
    workdir: Path, *, federation: str = "federated", client: str = "", split: str = "repeat*-split*"
) -> dict[str, tuple[float, Variables]]:
    """Split -> (weight, variables) of the best round of every trained split of a federation.

    Args:
      workdir: of the experiment.
      federation: federated, centralised, local-<client>.
      client: whose private leaves to use, for a federation that keeps some.
      split: which ones, a pattern.

    Raises:
      ValueError: when there is no such model, training failed or did not finish a round, or every
        client has its own and none is chosen.
    """
    experiment, data = read_identity(workdir)
    folders = sorted((workdir / "runs" / federation).glob(split))
    if not folders:
        have = sorted(str(p.relative_to(workdir / "runs")) for p in (workdir / "runs").glob("*/*"))
        raise ValueError(
            f"{workdir}: expected a trained {federation}/{split}, got {', '.join(have) or 'none'}."
        )
    outline, models = random_variables(experiment, tuple(data["shape"])), {}
    for folder in folders:
        members = _members(folder)
        name = client or members[0]
        if name not in members:
            raise ValueError(f"--client: expected one of {members}, got {name!r}.")
        read = _read_of_hospitals if "clients" not in data else _read_simulated
        snapshot, everyone = read(experiment, folder, members, outline)
        _require_trained(folder, snapshot)
        if not client and len({tree_digest(v) for v in everyone.values()}) > 1:
            raise ValueError(
                "Every client of this federation has its own model. Choose one by --client, of"
                f" {members}."
            )
        models[folder.name] = (split_weight(snapshot.selection), everyone[name])
    return models


def export_model(
    workdir: Path, output: str, *, federation: str, client: str, split: str, torch: bool
) -> None:
    """Writes a model to a `.safetensors` file that says what is needed to use it.

    Args:
      workdir: of the experiment.
      output: path of the file.
      federation: federated, centralised, local-<client>.
      client: whose private leaves to use, for a federation that keeps some.
      split: `repeat0-split0`.
      torch: whether to use the names and layouts of MONAI's DenseNet121.

    Raises:
      ValueError: for another ending of the file, no such model, or a network that MONAI does not
        have.
    """
    require_ending(output)
    [(_, variables)] = load_models(workdir, federation=federation, client=client, split=split)
    experiment, data = read_identity(workdir)
    require_raw(workdir, experiment)
    model = ", ".join(filter(None, (federation, split, client)))
    description = describe_model(
        config_of(workdir), experiment, tuple(data["shape"]), model=model, torch=torch
    )
    save(merged(variables), output, torch=torch, description=description)
    print(
        f"{output}: {model}; predicts {experiment.unit} from volumes of {description['shape']}"
        f" voxels of {description['voxel_size_mm']} mm."
    )
