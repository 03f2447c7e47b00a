"""From a configuration to functions. Nothing else reads a ConfigDict of an experiment, and every
field is read once.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from fedbrain.algorithms.leaves import LeafFilter
from fedbrain.algorithms.private import PRIVACY, Mechanism
from fedbrain.algorithms.schedules import SCHEDULES, Schedule
from fedbrain.algorithms.trainable import TRAINABLE, Factors
from fedbrain.data.augment import AUGMENTS, Change
from fedbrain.data.bands import BANDS, Bands
from fedbrain.data.dataset import SiteLoader
from fedbrain.data.describe import HISTOGRAMS
from fedbrain.data.inputs import SCALINGS, Inputs
from fedbrain.data.partition import PARTITIONS, Partition
from fedbrain.data.recipes import RECIPES, Recipe
from fedbrain.data.regimes import REGIMES, Regime
from fedbrain.data.sites import SITES
from fedbrain.data.splits import Fractions
from fedbrain.data.targets import NORMS, TARGETS, Norm, Target
from fedbrain.data.views import VIEWS
from fedbrain.data.voxel_combat import HARMONISES, Kept
from fedbrain.experiments.chosen_algorithm import read_algorithm
from fedbrain.experiments.chosen_driver import AUTO, read_batches, read_driver
from fedbrain.experiments.private import require_private
from fedbrain.experiments.spec import at_least, between, choose, factories
from fedbrain.models import MODELS, Frozen, WithCovariates
from fedbrain.models.losses import LOSSES
from fedbrain.models.low_rank import LowRank
from fedbrain.models.task import make_task
from fedbrain.training.device_volumes import RESIDENCES, Residence
from fedbrain.training.round import Driver
from fedbrain.training.sampling import SAMPLINGS, Sampling
from fedbrain.training.selection import Patience
from fedbrain.types import Algorithm, Loss, Task


class Experiment(NamedTuple):
    """A configuration, read."""

    seed: int  # of weights, sampling, shuffling, augmentation and dropout
    rounds: int  # most rounds of a federation
    sites: dict[str, SiteLoader]  # name -> how its scans are loaded
    recipe: Recipe  # how volumes are prepared
    harmonise: Kept | None  # what voxel-wise ComBat keeps; None: images stay as they are
    modalities: tuple[str, ...]  # suffixes of the images of a scan
    cache: str  # folder of prepared volumes
    describe: dict[str, tuple[float, ...]]  # column -> edges of its histogram
    report_by: dict[str, Bands]  # column -> classes that test errors are told by
    norms: dict[str, Norm]  # site -> norm that its target is relative to
    inputs: Inputs  # augmentation, covariates and modalities
    target: Target  # what is predicted, from a split
    partition: Partition  # sites -> clients
    fractions: Fractions  # shares of subjects for validation and test
    split_seed: int  # of the splits
    stratify: str  # column to stratify by; empty: the target
    repeats: range  # choices of test subjects
    inner_splits: int  # choices of validation subjects in each repeat
    regimes: dict[str, Regime]  # name -> federations of a split
    views: tuple[Change, ...]  # over which predictions are averaged
    baselines: tuple[str, ...]  # calls, to be made where files may be read
    initial: str  # a call, to be made where files may be read
    task: Task  # network and loss
    algorithm: Algorithm  # client and server maths
    privacy: Mechanism | None  # noise on what a client tells of its people
    driver: Driver | None  # None: to be chosen from measured sizes
    residence: Residence | None  # None: likewise
    batch_size: int  # examples in a local step
    microbatches: int  # parts of a batch whose gradients are summed
    epochs: int  # of local training in a round
    sampling: Sampling  # who is drawn for a round
    trusted: tuple[str, ...]  # clients that are the server's own, for rules that need one
    schedule: Schedule  # of the learning rate, over rounds
    patience: Patience  # rounds until early stopping or a lower learning rate
    keep: int  # number of checkpoints that are kept
    unit: str  # of the target; "class" where it is one
    classes: tuple[str, ...]  # names, where the target is a class


def read_task(config: Any, loss: Loss, inputs: Inputs) -> tuple[Task, LeafFilter]:
    """The fields `model` and `trainable`: the task, and which of its leaves train.

    Args:
      config: an `ml_collections.ConfigDict`.
      loss: of the experiment.
      inputs: what a network sees of a scan.
    """
    network = choose("model", config.model, MODELS, outputs=loss.outputs)
    trainable = choose("trainable", config.trainable, TRAINABLE, stages=network.stages)
    if inputs.width:
        network = WithCovariates(network)
    frozen: Any = Frozen(network, trainable)
    if isinstance(trainable, Factors):
        frozen = LowRank(frozen, trainable.rank)
    return make_task(frozen, loss), trainable


def _names(field: str, names: Iterable[str]) -> tuple[str, ...]:
    """The names; raises ValueError when there is none, or one twice."""
    found = tuple(names)
    if not found or len(set(found)) < len(found):
        raise ValueError(f"config.{field}: expected at least one name, each once, got {found}.")
    return found


def read_inputs(config: Any, modalities: int) -> Inputs:
    """The fields `augment` and `covariates`: what a network sees of a scan.

    Args:
      config: an `ml_collections.ConfigDict`.
      modalities: how many images a scan has.
    """
    scalings = [choose("covariates", spec, SCALINGS) for spec in config.covariates]
    return Inputs(choose("augment", config.augment, AUGMENTS), dict(scalings), modalities)


NUMBERS = {"baselines": (), "norms": (), "target": "raw()"}  # all that is defined for classes


def require_numbers(loss: Loss, of_numbers: Mapping[str, Any]) -> None:
    """Refuses what is only defined for a target that is a number.

    Args:
      loss: of the experiment.
      of_numbers: fields of `NUMBERS` -> what the configuration has.

    Raises:
      ValueError: naming the field.
    """
    for field, value in of_numbers.items():
        if loss.classes and value != NUMBERS[field]:
            raise ValueError(
                f"config.{field}: expected {NUMBERS[field] or 'none'}, since config.loss predicts"
                f" classes, got {value!r}."
            )


def read_experiment(config: Any) -> Experiment:
    """Reads a configuration, an `ml_collections.ConfigDict`.

    Args:
      config: with the fields of `configs/base.py`.

    Raises:
      ValueError: naming the field, for a choice that cannot be made.
    """
    client, server, splits = config.client, config.server, config.splits
    modalities = _names("modalities", config.modalities)
    inputs = read_inputs(config, len(modalities))
    loss = choose("loss", config.loss, LOSSES)
    task, trainable = read_task(config, loss, inputs)
    views = choose("views", config.views, VIEWS)
    inner_splits = at_least("splits.inner", splits.inner, 1)
    of_numbers = {
        "baselines": tuple(config.baselines),
        "norms": tuple(config.norms),
        "target": config.target,
    }
    require_numbers(loss, of_numbers)
    batch_size, microbatches = read_batches(client)
    privacy = choose("client.privacy", client.privacy, PRIVACY)
    require_private(privacy, config)
    trusted = tuple(server.trusted)
    algorithm = read_algorithm(
        config,
        task,
        microbatches=microbatches,
        trainable=trainable,
        privacy=privacy,
        trusted=trusted,
        of_experiment=True,
    )
    return Experiment(
        seed=at_least("seed", config.seed, 0),
        rounds=at_least("rounds", config.rounds, 1),
        sites={name: choose(f"sites.{name}", spec, SITES) for name, spec in config.sites.items()},
        recipe=choose("prepare", config.prepare, RECIPES),
        harmonise=choose("harmonise", config.harmonise, HARMONISES),
        modalities=modalities,
        cache=config.cache,
        describe=dict(choose("describe", spec, HISTOGRAMS) for spec in config.describe),
        report_by=dict(choose("report_by", spec, BANDS) for spec in config.report_by),
        norms=dict(choose("norms", spec, NORMS) for spec in of_numbers["norms"]),
        inputs=inputs,
        target=choose("target", of_numbers["target"], TARGETS),
        partition=choose("partition", config.partition, PARTITIONS),
        fractions=_fractions(splits),
        split_seed=at_least("splits.seed", splits.seed, 0),
        stratify=splits.stratify,
        repeats=_repeats(splits),
        inner_splits=inner_splits,
        regimes={
            name: choose("regimes", name, factories(REGIMES))
            for name in _names("regimes", config.regimes)
        },
        views=views,
        baselines=of_numbers["baselines"],
        initial=config.initial,
        task=task,
        algorithm=algorithm,
        privacy=privacy,
        driver=read_driver(config, batch_size, microbatches, private=privacy is not None),
        residence=choose("residence", config.residence, RESIDENCES | AUTO),
        batch_size=batch_size,
        microbatches=microbatches,
        epochs=at_least("client.epochs", client.epochs, 1),
        sampling=choose("server.sampling", server.sampling, SAMPLINGS),
        trusted=trusted,
        schedule=choose("schedule", config.schedule, SCHEDULES),
        patience=_patience(config.patience),
        keep=at_least("checkpoint.keep", config.checkpoint.keep, 2),
        unit="class" if loss.classes else config.unit,
        classes=loss.classes,
    )


def _fractions(splits: Any) -> Fractions:
    """`splits.valid` and `splits.test`."""
    fractions = Fractions(
        between("splits.valid", splits.valid, 0, 1), between("splits.test", splits.test, 0, 1)
    )
    if sum(fractions) >= 1:
        raise ValueError(f"config.splits: expected valid + test < 1, got {fractions}.")
    return fractions


def _repeats(splits: Any) -> range:
    """`splits.first` and `splits.repeats`."""
    first = at_least("splits.first", splits.first, 0)
    return range(first, first + at_least("splits.repeats", splits.repeats, 1))


def _patience(patience: Any) -> Patience:
    """`patience.stop`, `patience.plateau` and `patience.factor`."""
    return Patience(
        at_least("patience.stop", patience.stop, 0),
        at_least("patience.plateau", patience.plateau, 0),
        between("patience.factor", patience.factor, 0, 1),
    )
