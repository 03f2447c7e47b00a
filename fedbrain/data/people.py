"""The people of all sites, to be dealt out to simulated hospitals."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from fedbrain.data.dataset import Scans, concatenate, take
from fedbrain.data.splits import unit_hash

Partition = Callable[[Mapping[str, Scans]], dict[str, Scans]]  # sites -> clients


class Everybody(NamedTuple):
    """All scans, and whose they are."""

    scans: Scans  # of all sites
    person: tuple[str, ...]  # of each scan: SITE/sub-01, since two sites may both have a sub-01
    first: dict[str, int]  # person -> place of the first scan

    def values(self, column: str = "") -> dict[str, float]:
        """Person -> target, or value of a column, of the first scan.

        Args:
          column: its name; empty: the target.

        Raises:
          ValueError: where a scan has none.
        """
        values = self.scans.columns.get(column) if column else self.scans.target
        if values is None or not np.isfinite(values).all():
            raise ValueError(
                f"config.partition: expected a column {column!r} with a value for every scan, got"
                " n/a."
            )
        return {person: float(values[place]) for person, place in self.first.items()}

    def hashed(self, text: str) -> dict[str, float]:
        """Person -> a number in [0, 1) that depends on the subject and the text alone.

        Args:
          text: a seed.
        """
        return {p: unit_hash(f"{text}/{self.scans.subjects[i]}") for p, i in self.first.items()}


def everybody(sites: Mapping[str, Scans]) -> Everybody:
    """The people of all sites.

    Args:
      sites: name -> scans.
    """
    person = tuple(f"{site}/{subject}" for site, part in sites.items() for subject in part.subjects)
    first = {p: i for i, p in reversed(list(enumerate(person)))}
    return Everybody(concatenate(list(sites.values())), person, first)


def hospitals(people: Everybody, parts: Sequence[Sequence[str]]) -> dict[str, Scans]:
    """`hospital1`, `hospital2`, ... with all scans of their people.

    Args:
      people: of all sites.
      parts: persons of every hospital.

    Raises:
      ValueError: when a hospital has nobody.
    """
    sizes = [len(part) for part in parts]
    if not all(sizes):
        raise ValueError(
            f"config.partition: expected people at every hospital, got {sizes}. Choose fewer"
            " clients."
        )
    holder = {person: k for k, part in enumerate(parts) for person in part}
    return {
        f"hospital{k + 1}": take(
            people.scans, [i for i, p in enumerate(people.person) if holder[p] == k]
        )
        for k in range(len(parts))
    }


def rounded(shares: Float[np.ndarray, " k"], total: int) -> list[int]:
    """Whole numbers with this total, nearest to shares of it: by largest remainders.

    Args:
      shares: that add up to 1.
      total: of the numbers.

    >>> rounded(np.array([0.5, 0.25, 0.25]), 5)
    [3, 1, 1]
    """
    exact = np.asarray(shares, np.float64) * total
    counts = np.floor(exact + 1e-9).astype(int)
    order = np.argsort(-(exact - counts), kind="stable")
    counts[order[: total - counts.sum()]] += 1
    return counts.tolist()
