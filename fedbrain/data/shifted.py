"""A site's images without what the site adds to every voxel (see `voxel_combat`)."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from fedbrain.data.splits import Split


class Shifted(Sequence[np.ndarray]):
    """Volumes without what their site does to them, nothing copied.

    Args:
      volumes: as they are prepared.
      taken: gives what is taken away, flat; asked whenever a volume is read.
    """

    def __init__(self, volumes: Sequence[np.ndarray], taken: Callable[[], np.ndarray]):
        self.volumes, self.taken = volumes, taken

    def __len__(self) -> int:
        return len(self.volumes)

    def __getitem__(self, index):
        volume = self.volumes[index]
        taken = self.taken()
        return volume - (taken.reshape(volume.shape) if taken.ndim else taken)


def shifted(split: Split, taken: Callable[[], np.ndarray]) -> Split:
    """A site's scans without what the site does to them.

    Args:
      split: as it is prepared.
      taken: see `Shifted`.
    """
    return Split(*(replace(part, volumes=Shifted(part.volumes, taken)) for part in split))
