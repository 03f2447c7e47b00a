"""Simulated hospitals whose people are alike and whose scanners differ.

    x' = clip(g x (1 + s u) + o, -5, 5) where x is not 0,   u from -1 to 1 along one axis
    client k of n:  t = 2 k / (n - 1) - 1,   g = exp(.3 t strength),  o = .3 t strength,
                    s = .3 t strength along axis k mod 3

x are prepared voxels, in standard deviations of the brain: the contrast, the level and the ramp of
a receive coil are changed after normalisation, as scanners do in ways that it does not take out.
The numbers are arbitrary. They do not depend on people: with strength 0 nothing changes.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from fedbrain.data.dataset import Scans
from fedbrain.data.people import Partition, everybody, hospitals

STEP = 0.3  # of the gain's logarithm, the level and the ramp, at the outermost client
LIMIT = 5.0  # prepared voxels are clipped there


class Scanner(NamedTuple):
    """What a scanner does to prepared voxels."""

    gain: float
    level: float  # in standard deviations
    ramp: float  # at the end of the axis, as a share
    axis: int  # 0, 1 or 2


def scanner(client: int, clients: int, strength: float) -> Scanner:
    """The scanner of a client.

    >>> scanner(1, 3, 1.0)
    Scanner(gain=1.0, level=0.0, ramp=0.0, axis=1)
    """
    t = 2 * client / (clients - 1) - 1 if clients > 1 else 0.0
    change = STEP * t * strength
    return Scanner(math.exp(change), change, change, client % 3)


def scanned(volume: Float[np.ndarray, "d h w c"], by: Scanner) -> Float[np.ndarray, "d h w c"]:
    """A prepared volume as another scanner would show it; outside the brain it stays 0.

    Args:
      volume: in standard deviations.
      by: the scanner.
    """
    n = volume.shape[by.axis]
    along = np.linspace(-1, 1, n, dtype=np.float32) if n > 1 else np.zeros(1, np.float32)
    shape = [n if axis == by.axis else 1 for axis in range(4)]
    ramp = 1 + np.float32(by.ramp) * along.reshape(shape)
    changed = np.clip(np.float32(by.gain) * volume * ramp + np.float32(by.level), -LIMIT, LIMIT)
    return np.where(volume == 0, np.float32(0), changed)


class Scanned(Sequence[np.ndarray]):
    """Volumes of another sequence, changed when they are read.

    Args:
      volumes: prepared.
      by: the scanner.
    """

    def __init__(self, volumes: Sequence[np.ndarray], by: Scanner):
        self.volumes, self.by = volumes, by

    def __len__(self) -> int:
        return len(self.volumes)

    def __getitem__(self, index):
        return scanned(np.asarray(self.volumes[index], np.float32), self.by)


def by_scanner(clients: int = 3, strength: float = 1.0, seed: int = 0) -> Partition:
    """Feature shift: equally many people at random, and a scanner of its own for each client.

    Args:
      clients: how many.
      strength: of the change; 0: none.
      seed: of who goes where.
    """
    if clients < 1 or strength < 0:
        raise ValueError(f"Expected clients={clients} >= 1 and strength={strength} >= 0.")

    def partition(sites: Mapping[str, Scans]) -> dict[str, Scans]:
        people = everybody(sites)
        place = people.hashed(f"{seed}")
        shuffled = sorted(people.first, key=lambda p: (place[p], p))
        parts = [part.tolist() for part in np.array_split(shuffled, clients)]
        dealt = hospitals(people, parts)
        return {
            name: replace(s, volumes=Scanned(s.volumes, scanner(k, clients, strength)))
            for k, (name, s) in enumerate(dealt.items())
        }

    return partition
