"""Which regions of a scan a model's predictions depend on: maps of every site.

Integrated gradients, what they explain of the variance of predictions, and occlusion, on test scans
of every site against their mean image; averaged at the site, as NIfTI files in the space of the
prepared volumes and as montages. What leaves a site is a mean over at least 5 people, never one
person's map.
"""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from fedbrain import progress
from fedbrain.analysis.attribution import integrated_gradients, occlusion
from fedbrain.analysis.brain_maps import montage, save_map
from fedbrain.analysis.figures import save
from fedbrain.data.dataset import Scans, take
from fedbrain.data.pipeline import eval_batches
from fedbrain.data.small_counts import FEWEST
from fedbrain.experiments.clients import load_clients
from fedbrain.experiments.config import Experiment
from fedbrain.experiments.harmonised_images import require_raw
from fedbrain.experiments.saved_models import is_of_hospitals, load_models, read_identity
from fedbrain.experiments.split_id import SplitId, split_client
from fedbrain.experiments.writing import writing
from fedbrain.types import Variables

Grid = Float[np.ndarray, "x y z"]
SQUARED = " squared"  # of a covariance


class Maps(NamedTuple):
    """Of one person. Modalities are added up."""

    brain: Grid  # the first modality
    attribution: Grid  # integrated gradients, target units
    occlusion: Grid  # change of the prediction, target units
    missed: float  # what attributions do not explain, target units


class Means(NamedTuple):
    """Of a site."""

    brain: Grid  # mean image of the first modality
    integrated_gradients: Grid  # mean |attribution|, target units
    # covariance of attribution and prediction, target units^2: adds up to the variance of
    # predictions
    variance: Grid
    occlusion: Grid  # mean |change of the prediction|, target units
    missed: float  # mean |what attributions do not explain|, target units


def explain(
    experiment: Experiment, variables: Variables, scans: Scans, *, steps: int, size: int
) -> Iterator[Maps]:
    """The maps of every scan, against the mean image of all of them.

    Args:
      experiment: gives the task and how scans are presented.
      variables: of the model.
      scans: to explain.
      steps: of integrated gradients.
      size: edge of an occluded cube, voxels.
    """
    inputs = experiment.inputs
    baseline = np.mean(
        [scans.volumes[i] for i in range(len(scans))], axis=0, dtype=np.float64
    ).astype(np.float32)
    gradients: Callable = jax.jit(partial(integrated_gradients, experiment.task, steps=steps))
    occlude: Callable = jax.jit(partial(occlusion, experiment.task, size=size))
    for batch in eval_batches(scans, batch_size=1, inputs=inputs):
        attribution, missed = gradients(variables, batch, baseline)
        hidden = occlude(variables, batch, baseline)
        image = np.asarray(batch["image"])[0, ..., 0]
        yield Maps(image, np.asarray(attribution).sum(-1), np.asarray(hidden), float(missed))


def mean(maps: list[Maps], people: int) -> Means:
    """The average maps of a site.

    Args:
      maps: of every scan.
      people: how many subjects the scans are of.

    Raises:
      ValueError: for too few people: the mean would show them.
    """
    if people < FEWEST:
        raise ValueError(
            f"Expected test scans of at least {FEWEST} people at a site, got {people}."
        )
    brain, attribution, hidden = (np.stack([np.asarray(m[k]) for m in maps]) for k in range(3))
    prediction = attribution.sum((1, 2, 3))
    variance = np.tensordot(
        prediction - prediction.mean(), attribution - attribution.mean(0), 1
    ) / len(maps)
    missed = float(np.mean([abs(m.missed) for m in maps]))
    return Means(
        brain.mean(0), np.abs(attribution).mean(0), variance, np.abs(hidden).mean(0), missed
    )


def scans_to_explain(experiment: Experiment, split_id: SplitId) -> tuple[dict[str, Scans], bool]:
    """(test scans of every site on a split, whether they are synthetic).

    Args:
      experiment: gives sites and splits.
      split_id: which split.
    """
    clients, reports = load_clients(experiment)
    tests = {n: split_client(experiment, scans, split_id).test for n, scans in clients.items()}
    return tests, any(report.synthetic for report in reports)


def run(workdir: Path, output: Path, federation: str, count: int, steps: int, size: int) -> None:
    """Writes mean maps of every site as NIfTI files, and montages of them.

    Args:
      workdir: of the trained experiment.
      output: folder of the maps.
      federation: whose model: federated, centralised, local-<client>.
      count: test scans of each site, at most.
      steps: of integrated gradients.
      size: edge of an occluded cube, voxels.

    Raises:
      ValueError: for the centre's folder of a run between hospitals.
    """
    if is_of_hospitals(workdir):
        raise ValueError(
            f"{workdir}: expected a run whose scans are here, got one between hospitals, where they"
            " stay. Each site can look at its own: fedbrain saliency, on the folder of its run."
        )
    experiment, _ = read_identity(workdir)
    require_raw(workdir, experiment)
    split_id = SplitId(experiment.repeats[0])
    sites, synthetic = scans_to_explain(experiment, split_id)
    maps_of_sites = {}
    classes = experiment.classes
    explained = f"probability of {classes[-1]}" if classes else experiment.unit
    for site, scans in progress.each(sites.items(), federation, unit="site"):
        client = site if federation.startswith("federated") else ""
        [(_, variables)] = load_models(
            workdir, federation=federation, client=client, split=split_id.name
        )
        some = take(scans, list(range(min(count, len(scans)))))
        each = explain(experiment, variables, some, steps=steps, size=size)
        maps = mean(
            list(progress.each(each, site, len(some), leave=False)), len(set(some.subjects))
        )
        with writing(output, flag="output"):
            for name in Means._fields[:-1]:
                path = output / f"{site}_{name}.nii.gz"
                save_map(path, getattr(maps, name), experiment.recipe.voxel_size_mm)
        sd = np.sqrt(max(float(maps.variance.sum()), 0))
        missed = f"attributions miss {maps.missed:.2f} {explained}"
        progress.say(f"{site}: {len(some)} test scans; {missed}, SD of predictions {sd:.2f}")
        maps_of_sites[site] = maps
    brains = {site: m.brain for site, m in maps_of_sites.items()}
    for name in Means._fields[1:-1]:
        maps = {site: getattr(m, name) for site, m in maps_of_sites.items()}
        figure = montage(
            brains,
            maps,
            title=f"{federation}: {name.replace('_', ' ')}, upper tenth",
            measure=f"{explained}{SQUARED if name == 'variance' else ''}",
            voxel_size_mm=experiment.recipe.voxel_size_mm,
            synthetic=synthetic,
        )
        with writing(output, flag="output"):
            save(figure, output / f"{name}.png")
    print(f"Maps and montages: {output}")
