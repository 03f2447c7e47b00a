"""Images without what their site does to every voxel, in a simulation; `config.harmonise`.

Everything is estimated on the training scans of a split, and taken from its validation and test
scans too. See `fedbrain.data.voxel_combat`.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from fedbrain import progress
from fedbrain.data import voxel_combat
from fedbrain.data.dataset import Scans
from fedbrain.data.shifted import shifted
from fedbrain.data.splits import Split
from fedbrain.data.voxel_combat import Kept, values_of
from fedbrain.experiments.config import Experiment
from fedbrain.processes import peers


def require_harmonisable(experiment: Experiment, clients: Mapping[str, Scans]) -> None:
    """Refuses experiments in which voxels cannot be harmonised; nothing for others.

    Args:
      experiment: that is to be run.
      clients: name -> scans.

    Raises:
      ValueError: naming the field.
    """
    if experiment.harmonise is None:
        return
    require_same_places(experiment)
    wrong = {
        "config.sites: expected two sites or more": len(clients) < 2,
        "config.regimes: expected no leave_one_site_out, whose site has no part in the sums":
        "leave_one_site_out" in experiment.regimes,
        "config.baselines: expected none with a model of other images":
        any("model" in call for call in experiment.baselines),
        "--processes: expected one process, which reads the scans of all sites":
        peers.count() > 1,
    }  # fmt: skip
    for words, is_wrong in wrong.items():
        if is_wrong:
            raise ValueError(f"{words}, where config.harmonise is voxelwise(), got another.")


def require_same_places(experiment: Experiment) -> None:
    """Refuses images of which a voxel is not the same place in every brain, and noise on sums.

    Args:
      experiment: with voxel-wise harmonisation.

    Raises:
      ValueError: naming the field.
    """
    if experiment.recipe.centre_mm is None:
        raise ValueError(
            "config.harmonise: expected config.prepare=registered(...), in which a voxel is the"
            " same place in every brain, got another recipe. Run fedbrain prepare on the scans."
        )
    if len(experiment.modalities) > 1:
        raise ValueError(
            "config.harmonise: expected one of config.modalities, since an image that is missing is"
            f" 0 everywhere, got {', '.join(experiment.modalities)}."
        )
    if experiment.privacy is not None:
        raise ValueError(
            "config.harmonise: expected none() under config.client.privacy, since sums of voxels"
            " have no noise, got voxelwise()."
        )


def harmonise(experiment: Experiment, splits: Mapping[str, Split]) -> dict[str, Split]:
    """The scans of a split, without what sites do to them.

    Args:
      experiment: says whether, and what is kept.
      splits: client -> scans.

    Raises:
      ValueError: naming the client and the column.
    """
    if experiment.harmonise is None:
        return dict(splits)
    taken, sigma = estimate(splits, experiment.harmonise)
    progress.say(f"Voxel-wise ComBat: {describe(taken, sigma)}")
    return {name: shifted(split, lambda name=name: taken[name]) for name, split in splits.items()}


def estimate(splits: Mapping[str, Split], kept: Kept) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """(client -> what is taken from every voxel, sigma of every voxel).

    Args:
      splits: client -> scans.
      kept: columns whose effect stays.

    Raises:
      ValueError: naming the client and the column.
    """
    names, k = sorted(splits), len(kept.columns)
    train = {name: splits[name].train for name in names}
    x = {name: values_of(name, train[name], kept) for name in names}
    told = {
        name: voxel_combat.tell(train[name].volumes, x[name])
        for name in progress.each(names, "sums of voxels", unit="site", leave=False)
    }
    common = voxel_combat.combine(list(told.values()), k)
    squares = [
        voxel_combat.squares(train[name].volumes, x[name], told[name], common)
        for name in progress.each(names, "squares of voxels", unit="site", leave=False)
    ]
    sigma = voxel_combat.spread(squares, sum(len(train[name]) for name in names))
    return {name: voxel_combat.shift(told[name], common, sigma) for name in names}, sigma


def describe(taken: Mapping[str, np.ndarray], sigma: np.ndarray) -> str:
    """How large the shifts are, in SD of a voxel.

    Args:
      taken: client -> what is taken from every voxel.
      sigma: of every voxel.
    """
    varies = sigma > 0
    if not varies.any():
        return "no voxel varies, so that nothing is taken away."
    sizes = {n: float(np.abs(v[varies] / sigma[varies]).mean()) for n, v in taken.items()}
    told = ", ".join(f"{name} {size:.2f}" for name, size in sizes.items())
    return f"mean size of the shift of {int(varies.sum()):,} voxels, in their SD: {told}."


def require_raw(workdir: Path, experiment: Experiment) -> None:
    """Refuses a model of harmonised images where it would see others.

    Args:
      workdir: of the experiment, for the sentence.
      experiment: that trained the model.

    Raises:
      ValueError: for such a model.
    """
    if experiment.harmonise is not None:
        raise ValueError(
            f"{workdir}: expected a model of images as they are prepared, got one of images without"
            " the effects of their sites (config.harmonise), which are known of its training sites"
            " alone: new scans cannot be made like these."
        )
