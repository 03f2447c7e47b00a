"""What is checked before every experiment: some of it ends it, the rest is printed as warnings."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fedbrain.data.dataset import Scans, shape_of
from fedbrain.data.differences import differences
from fedbrain.data.pipeline import example_batch
from fedbrain.data.regimes import federated
from fedbrain.data.scan_report import Report
from fedbrain.data.splits import Split
from fedbrain.experiments.compiled import outline_variables
from fedbrain.experiments.config import Experiment
from fedbrain.experiments.consistent import require_trained_body, unprotected
from fedbrain.experiments.feasible import require_defined
from fedbrain.experiments.label_range import labels_of, odd_labels
from fedbrain.experiments.left_out import require_leavable
from fedbrain.experiments.private import require_delta
from fedbrain.experiments.small_batches import require_large_batches
from fedbrain.experiments.split_id import SplitId, split_clients
from fedbrain.training.outline import outline

FEWEST_PEOPLE = 5  # in a part: fewer people give no error worth a name; arbitrary

Splits = Sequence[tuple[SplitId, Mapping[str, Split]]]  # of every repeat and inner split


def split_all(experiment: Experiment, clients: Mapping[str, Scans]) -> Splits:
    """Every split that the experiment trains on; no volume is read.

    Args:
      experiment: gives repeats and inner splits.
      clients: name -> scans.

    Raises:
      ValueError: naming the client that is too small for three parts.
    """
    splits = []
    for repeat in experiment.repeats:
        for inner in range(experiment.inner_splits):
            split_id = SplitId(repeat, inner)
            splits.append((split_id, split_clients(experiment, clients, split_id)))
    return splits


def train_sizes(experiment: Experiment, splits: Splits) -> dict[str, set[int]]:
    """Numbers of training scans over all regimes and splits: client -> numbers.

    Args:
      experiment: gives the regimes.
      splits: of all clients.
    """
    sizes: dict[str, set[int]] = {}
    for _, parts in splits:
        for regime in experiment.regimes.values():
            for federation in regime(parts):
                for name, member in federation.clients.items():
                    sizes.setdefault(name, set()).add(len(member.train))
    return sizes


def require_feasible(
    config: Any,
    experiment: Experiment,
    reports: Sequence[Report],
    splits: Splits,
    shape: tuple[int, int, int, int],
) -> None:
    """Refuses what would fail in training, or waste it.

    Args:
      config: an `ml_collections.ConfigDict` of the experiment.
      experiment: as read from it.
      reports: of all sites.
      splits: of all clients.
      shape: of an image, [d h w c].

    Raises:
      ValueError: naming the field and what helps.
    """
    require_modalities(experiment.modalities, reports)
    names = sorted(splits[0][1])
    if federated in experiment.regimes.values():
        require_defined(config, experiment.sampling, names)
    require_leavable(config, experiment, names, shape)
    people = {name: _everybody(split) for _, parts in splits[:1] for name, split in parts.items()}
    require_delta(experiment.privacy, people)
    sizes = train_sizes(experiment, splits)
    smallest = min(size for own in sizes.values() for size in own)
    steps = -(-smallest * experiment.epochs // experiment.batch_size)
    require_trained_body(config.algorithm, steps)
    require_large_batches(experiment, sizes, shape, model=config.model)


def require_modalities(modalities: Sequence[str], reports: Sequence[Report]) -> None:
    """Refuses a modality of which nobody has an image: its channel would be 0 for everybody.

    Args:
      modalities: of an image of the experiment; a scan has the first one.
      reports: of all sites.

    Raises:
      ValueError: naming the modality.
    """
    for modality in modalities[1:]:
        absent = [len(r.notes.get(f"without {modality}", ())) >= r.kept for r in reports]
        if all(absent):
            raise ValueError(
                f"config.modalities: expected images of {modality}, got none at any site. Take"
                f" {modality} out, or correct its name: files end with _{modality}.nii.gz."
            )


def warnings_of(
    experiment: Experiment,
    clients: Mapping[str, Scans],
    reports: Sequence[Report],
    splits: Splits,
) -> list[str]:
    """What a careful reader of the data would say, a sentence each.

    Args:
      experiment: gives the recipe and the unit.
      clients: name -> scans.
      reports: of all sites.
      splits: of all clients.
    """
    images = differences(reports, experiment.recipe.mask)
    labels = () if experiment.classes else odd_labels(labels_of(clients), experiment.unit)
    return [*images, *labels, *small_parts(splits)]


def small_parts(splits: Splits) -> Iterator[str]:
    """Clients whose validation or test part holds few people in some split.

    Args:
      splits: of all clients.
    """
    names = splits[0][1] if splits else {}
    for name in names:
        counts = [(_people(parts[name]), split_id) for split_id, parts in splits]
        (valid, _), (test, _) = (min(counts, key=lambda row: row[0][k]) for k in (0, 1))
        few = [
            f"{part} {n} {'person' if n == 1 else 'people'}"
            for part, n in (("validation", valid[0]), ("test", test[1]))
            if n < FEWEST_PEOPLE
        ]
        if few:
            yield (
                f"{name}: too few people: {' and '.join(few)}, fewer than {FEWEST_PEOPLE}; its"
                " numbers say little. Take more people, a larger share (config.splits), or more"
                " repeats."
            )


def _everybody(split: Split) -> int:
    return len({subject for part in split for subject in part.subjects})


def _people(split: Split) -> tuple[int, int]:
    return len(set(split.valid.subjects)), len(set(split.test.subjects))


def render_warnings(warnings: Sequence[str]) -> str:
    """A block of text; empty without warnings.

    Args:
      warnings: a sentence each.
    """
    if not warnings:
        return ""
    title = "1 warning" if len(warnings) == 1 else f"{len(warnings)} warnings"
    return "\n".join([f"{title}:", *(f"  - {sentence}" for sentence in warnings)])


def advise(
    config: Any, experiment: Experiment, clients: Mapping[str, Scans], reports: Sequence[Report]
) -> str:
    """The refusals, and the warnings as a block of text.

    Args:
      config: an `ml_collections.ConfigDict` of the experiment.
      experiment: as read from it.
      clients: name -> scans.
      reports: of all sites.

    Raises:
      ValueError: see `require_feasible`.
    """
    splits = split_all(experiment, clients)
    shape = shape_of(list(clients.values()))
    require_feasible(config, experiment, reports, splits, shape)
    variables = outline_variables(experiment, shape)
    batch = example_batch(shape, experiment.batch_size, experiment.inputs)
    channels = unprotected(
        algorithm=config.algorithm,
        aggregator=config.server.aggregator,
        statistics=config.server.statistics,
        update=outline(experiment.algorithm, variables, batch).update,
    )
    return render_warnings([*warnings_of(experiment, clients, reports, splits), *channels])
