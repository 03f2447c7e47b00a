"""Which split of the scans an experiment trains on: its name, its seed, and the split itself."""

from collections.abc import Mapping
from typing import NamedTuple

from fedbrain.data.dataset import Scans
from fedbrain.data.pipeline import pipeline_seed
from fedbrain.data.splits import Split, split_scans
from fedbrain.experiments.config import Experiment


class SplitId(NamedTuple):
    """One split of the scans into training, validation and test scans.

    >>> SplitId(repeat=0, inner=1).name
    'repeat0-split1'
    """

    repeat: int  # chooses the test subjects
    inner: int = 0  # chooses the validation subjects among the other subjects

    @property
    def name(self) -> str:
        """The name of its folder in a work directory."""
        return f"repeat{self.repeat}-split{self.inner}"

    def seed(self, experiment_seed: int) -> int:
        """The seed of sampling, shuffling, augmentation and dropout on this split.

        Args:
          experiment_seed: the experiment's own.
        """
        return pipeline_seed(experiment_seed, self.repeat, self.inner)


def split_client(experiment: Experiment, scans: Scans, split_id: SplitId) -> Split:
    """Splits a client's scans as the configuration says, and prepares their targets.

    Args:
      experiment: gives the shares of subjects, the seed, the stratification and the target.
      scans: of one client.
      split_id: which split.

    Raises:
      ValueError: for a site too small for three parts, or a column that cannot stratify.
    """
    split = split_scans(
        scans,
        experiment.fractions,
        seed=experiment.split_seed,
        repeat=split_id.repeat,
        inner=split_id.inner,
        stratify=experiment.stratify,
    )
    return experiment.target(split)


def split_clients(
    experiment: Experiment, clients: Mapping[str, Scans], split_id: SplitId
) -> dict[str, Split]:
    """`split_client` for every client.

    Args:
      experiment: says how.
      clients: name -> scans.
      split_id: which split.

    Raises:
      ValueError: naming the client.
    """
    splits = {}
    for name, scans in clients.items():
        try:
            splits[name] = split_client(experiment, scans, split_id)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    return splits
