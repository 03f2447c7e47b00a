"""Refuses, before a work directory is touched, what would stop an experiment before its first
round: splits, starting points, baselines, columns of the results.
"""

from collections.abc import Mapping

import jax
import numpy as np

from fedbrain.data.bands import require_columns
from fedbrain.data.dataset import Scans
from fedbrain.data.voxel_combat import values_of
from fedbrain.experiments.baselines import BASELINES
from fedbrain.experiments.compiled import compile_experiment, outline_variables
from fedbrain.experiments.config import Experiment
from fedbrain.experiments.harmonised_images import require_harmonisable
from fedbrain.experiments.spec import choose
from fedbrain.experiments.split_id import SplitId, split_clients
from fedbrain.experiments.starting_point import INITIALS


def require_classes(classes: tuple[str, ...], clients: Mapping[str, Scans]) -> None:
    """Refuses labels that are not numbers of classes, and people of one class alone.

    Args:
      classes: names; empty where the target is a number.
      clients: name -> scans.

    Raises:
      ValueError: naming the client and the label.
    """
    if not classes:
        return
    listed = ", ".join(f"{k} for {name}" for k, name in enumerate(classes))
    numbers = set(range(len(classes)))
    for name, scans in clients.items():
        odd = [target for target in scans.target.tolist() if target not in numbers]
        if odd:
            raise ValueError(
                f"{name}: expected labels that are numbers of classes ({listed}), since config.loss"
                f" predicts classes, got {odd[0]:g}. Name the classes as the tables do, choose"
                " another label, or another loss."
            )
    seen = set().union(*(scans.target.tolist() for scans in clients.values()))
    if len(seen) < 2:
        raise ValueError(
            f"config.sites: expected people of two classes or more ({listed}), got"
            f" {', '.join(f'{k:g}' for k in seen)} for everybody."
        )


def require_ready(
    experiment: Experiment, clients: Mapping[str, Scans], shape: tuple[int, int, int, int]
) -> None:
    """Splits every client, reads every starting point and what every baseline needs, and keeps
    nothing.

    Args:
      experiment: with residence and driver chosen.
      clients: name -> scans.
      shape: of an image, [d h w c].

    Raises:
      ValueError: naming the field, the site or the file.
    """
    require_columns(experiment.report_by, clients)
    require_harmonisable(experiment, clients)
    require_classes(experiment.classes, clients)
    compile_experiment(experiment)
    baselines = [choose("baselines", spec, BASELINES) for spec in experiment.baselines]
    initial = choose("initial", experiment.initial, INITIALS)
    outline = outline_variables(experiment, shape)
    fresh = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), outline)
    for repeat in experiment.repeats:
        for inner in range(experiment.inner_splits):
            split_id = SplitId(repeat, inner)
            for name, split in split_clients(experiment, clients, split_id).items():
                if experiment.harmonise is not None:
                    values_of(name, split.train, experiment.harmonise)
            initial(fresh, split_id)
            for baseline in baselines:
                baseline.require(clients, split_id)
