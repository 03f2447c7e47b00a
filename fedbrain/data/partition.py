"""The clients of an experiment: its sites, or hospitals simulated from their scans."""

from collections.abc import Callable, Mapping

import numpy as np

from fedbrain.data.dataset import Scans, concatenate, take
from fedbrain.data.splits import unit_hash

Partition = Callable[[Mapping[str, Scans]], dict[str, Scans]]


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
        scans = concatenate(list(sites.values()))
        values = scans.columns.get(column) if column else scans.target
        if values is None or not np.isfinite(values).all():
            raise ValueError(
                f"config.partition: expected a column {column!r} with a value for every scan, got"
                " n/a."
            )
        people = [f"{site}/{subject}" for site, part in sites.items() for subject in part.subjects]
        first_scan = {p: i for i, p in reversed(list(enumerate(people)))}
        ordered = sorted(first_scan, key=lambda p: (values[first_scan[p]], p))
        width = overlap * len(ordered)
        position = {
            p: i + width * (unit_hash(f"{seed}/{scans.subjects[first_scan[p]]}") - 0.5)
            for i, p in enumerate(ordered)
        }
        parts = np.array_split(sorted(ordered, key=lambda p: position[p]), clients)
        hospital = {p: k for k, part in enumerate(parts) for p in part.tolist()}
        return {
            f"hospital{k + 1}": take(scans, [i for i, p in enumerate(people) if hospital[p] == k])
            for k in range(clients)
        }

    return partition


PARTITIONS = {"by_site": by_site, "by_target": by_target}
