"""Who are the clients, given the sites' data: the sites themselves, or hospitals simulated from one
data set.
"""

from collections.abc import Callable, Mapping

import numpy as np

from fedbrain.data.dataset import Scans, concatenate, take
from fedbrain.data.splits import unit_hash

Partition = Callable[[Mapping[str, Scans]], dict[str, Scans]]


def by_site() -> Partition:
    """Every site is a client."""
    return dict


def by_target(clients: int = 3, overlap: float = 0.4, seed: int = 0, column: str = "") -> Partition:
    """Simulated hospitals with different targets (a young, a middle and an old one, say), by
    subject.

    Subjects are ordered by target plus a hashed jitter and cut into equal parts.

    Args:
      clients: how many.
      overlap: width of the jitter, as a share of all subjects; 0 cuts into disjoint ranges of the
        target.
      seed: of the jitter.
      column: to order by instead, so that experiments on several targets have the same hospitals.
    """
    if clients < 1 or overlap < 0:
        raise ValueError(f"Expected clients={clients} >= 1 and overlap={overlap} >= 0.")

    def partition(sites: Mapping[str, Scans]) -> dict[str, Scans]:
        scans = concatenate(list(sites.values()))
        people = [f"{site}/{subject}" for site, part in sites.items() for subject in part.subjects]
        first = {s: i for i, s in reversed(list(enumerate(people)))}
        values = scans.columns.get(column) if column else scans.target
        if values is None or not np.isfinite(values).all():
            raise ValueError(
                f"config.partition: expected a column {column!r} with a value for every scan, got"
                " n/a."
            )
        subjects = sorted(first, key=lambda s: (values[first[s]], s))
        width = overlap * len(subjects)
        jittered = {
            s: i + width * (unit_hash(f"{seed}/{scans.subjects[first[s]]}") - 0.5)
            for i, s in enumerate(subjects)
        }
        parts = np.array_split(sorted(subjects, key=lambda s: jittered[s]), clients)
        sets = [set(part.tolist()) for part in parts]
        return {
            f"hospital{k + 1}": take(scans, [i for i, s in enumerate(people) if s in sets[k]])
            for k in range(clients)
        }

    return partition


PARTITIONS = {"by_site": by_site, "by_target": by_target}
