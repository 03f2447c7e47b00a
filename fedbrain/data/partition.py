"""The clients of an experiment: its sites, or hospitals simulated from their scans.

People are dealt out with all their scans, and each to one hospital.
"""

from collections.abc import Mapping

import numpy as np

from fedbrain.data.dataset import Scans
from fedbrain.data.dirichlet import dirichlet_labels, dirichlet_sizes
from fedbrain.data.people import Partition, everybody, hospitals
from fedbrain.data.scanner_shift import by_scanner


def by_site() -> Partition:
    """Every site is a client."""
    return dict


def by_target(clients: int = 3, overlap: float = 0.4, seed: int = 0, column: str = "") -> Partition:
    """Simulated hospitals with different targets: a young, a middle and an old one, say.

    Subjects are ordered by target plus a hashed jitter and cut into equal parts.

    Args:
      clients: how many.
      overlap: width of the jitter, as a share of all subjects; with 0, hospitals have disjoint
        ranges of the target.
      seed: of the jitter.
      column: to order by instead, so that experiments on several targets have the same hospitals.
    """
    if clients < 1 or overlap < 0:
        raise ValueError(f"Expected clients={clients} >= 1 and overlap={overlap} >= 0.")

    def partition(sites: Mapping[str, Scans]) -> dict[str, Scans]:
        people = everybody(sites)
        values, jitter = people.values(column), people.hashed(f"{seed}")
        ordered = sorted(values, key=lambda p: (values[p], p))
        width = overlap * len(ordered)
        position = {p: i + width * (jitter[p] - 0.5) for i, p in enumerate(ordered)}
        parts = np.array_split(sorted(ordered, key=lambda p: position[p]), clients)
        return hospitals(people, [part.tolist() for part in parts])

    return partition


def shards(clients: int = 3, each: int = 2, seed: int = 0, column: str = "") -> Partition:
    """Pathological hospitals: people sorted by target are cut into clients x each equal shards, and
    every client gets `each` of them at random.

    Args:
      clients: how many.
      each: shards of a client; with 1, hospitals have disjoint ranges of the target.
      seed: of who gets which.
      column: to sort by in place of the target.

    References:
      McMahan et al. (2017), https://arxiv.org/abs/1602.05629
    """
    if clients < 1 or each < 1:
        raise ValueError(f"Expected clients={clients} >= 1 and each={each} >= 1.")

    def partition(sites: Mapping[str, Scans]) -> dict[str, Scans]:
        people = everybody(sites)
        values = people.values(column)
        ordered = sorted(values, key=lambda p: (values[p], p))
        cut = np.array_split(ordered, clients * each)
        order = np.random.default_rng(seed).permutation(len(cut)).reshape(clients, each)
        parts = [[p for k in sorted(own) for p in cut[k].tolist()] for own in order.tolist()]
        return hospitals(people, parts)

    return partition


__all__ = ["PARTITIONS", "Partition", "by_site", "by_target", "shards"]

PARTITIONS = {
    "by_site": by_site,
    "by_target": by_target,
    "shards": shards,
    "dirichlet_labels": dirichlet_labels,
    "dirichlet_sizes": dirichlet_sizes,
    "by_scanner": by_scanner,
}
