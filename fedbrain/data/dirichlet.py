"""Simulated hospitals by draws from a Dirichlet distribution: of labels, and of sizes.

    labels   q_c ~ Dir(alpha 1),  hospital k gets the share q_ck of the people of class c
    sizes    q ~ Dir(alpha 1),    hospital k gets the share q_k of all people, at random

A small alpha makes hospitals unequal; with alpha to infinity they become alike. A draw that leaves
a hospital with fewer people than asked for is drawn again, as is usual.

References:
  Hsu et al. (2019), https://arxiv.org/abs/1909.06335
  Li et al. (2022), https://arxiv.org/abs/2102.02079
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from fedbrain.data.dataset import Scans
from fedbrain.data.people import Partition, everybody, hospitals, rounded

DRAWS = 100  # until a partition is refused: arbitrary


def classes_of(values: Mapping[str, float], bins: int) -> list[list[str]]:
    """Persons of every class, the smallest values first: a class for each value where there are at
    most `bins` of them, else classes of equally many people.

    Args:
      values: person -> value.
      bins: the most classes.

    >>> classes_of({"a": 30.0, "b": 20.0, "c": 40.0, "d": 50.0}, 2)
    [['b', 'a'], ['c', 'd']]
    """
    ordered = sorted(values, key=lambda p: (values[p], p))
    distinct = sorted(set(values.values()))
    if len(distinct) <= bins:
        return [[p for p in ordered if values[p] == value] for value in distinct]
    return [part.tolist() for part in np.array_split(ordered, bins)]


def dirichlet_labels(
    clients: int = 3,
    alpha: float = 0.5,
    bins: int = 5,
    seed: int = 0,
    column: str = "",
    fewest: int = 5,
) -> Partition:
    """Label skew: every class of the target is dealt out by shares of its own.

    Args:
      clients: how many.
      alpha: of the distribution; .1 is very unequal, 100 nearly alike.
      bins: a target with more values is cut into so many classes of equally many people.
      seed: of the shares, and of who goes where.
      column: to cut by in place of the target.
      fewest: people of a client; the default is arbitrary.
    """
    _require(clients, alpha)
    if bins < 2:
        raise ValueError(f"Expected bins={bins} >= 2.")

    def partition(sites: Mapping[str, Scans]) -> dict[str, Scans]:
        people = everybody(sites)
        place = people.hashed(f"{seed}")
        classes = [
            sorted(members, key=lambda p: (place[p], p))
            for members in classes_of(people.values(column), bins)
        ]
        for shares in _draws(seed, (len(classes), clients), alpha):
            counts = [rounded(q, len(members)) for q, members in zip(shares, classes)]
            if np.sum(counts, axis=0).min() >= fewest:
                cut = [_cut(members, some) for members, some in zip(classes, counts)]
                return hospitals(
                    people, [[p for some in parts for p in some] for parts in zip(*cut)]
                )
        raise _too_few(fewest, clients, len(people.first))

    return partition


def dirichlet_sizes(
    clients: int = 3, alpha: float = 0.5, seed: int = 0, fewest: int = 5
) -> Partition:
    """Quantity skew: hospitals of unequal size with people alike.

    Args:
      clients: how many.
      alpha: of the distribution; .1 is very unequal, 100 nearly alike.
      seed: of the shares, and of who goes where.
      fewest: people of a client; the default is arbitrary.
    """
    _require(clients, alpha)

    def partition(sites: Mapping[str, Scans]) -> dict[str, Scans]:
        people = everybody(sites)
        place = people.hashed(f"{seed}")
        shuffled = sorted(people.first, key=lambda p: (place[p], p))
        for shares in _draws(seed, (1, clients), alpha):
            counts = rounded(shares[0], len(shuffled))
            if min(counts) >= fewest:
                return hospitals(people, _cut(shuffled, counts))
        raise _too_few(fewest, clients, len(shuffled))

    return partition


def _require(clients: int, alpha: float) -> None:
    if clients < 1 or not alpha > 0:
        raise ValueError(f"Expected clients={clients} >= 1 and alpha={alpha} > 0.")


def _draws(seed: int, shape: tuple[int, int], alpha: float) -> Iterator[np.ndarray]:
    """Shares [classes clients], again and again."""
    rng, (classes, clients) = np.random.default_rng(seed), shape
    for _ in range(DRAWS):
        yield rng.dirichlet(np.full(clients, alpha), classes)


def _too_few(fewest: int, clients: int, people: int) -> ValueError:
    return ValueError(
        f"config.partition: expected at least {fewest} people at each of {clients} hospitals, got"
        f" fewer in {DRAWS} draws for {people} people. Choose fewer clients, a larger alpha or a"
        " smaller fewest."
    )


def _cut(people: Sequence[str], counts: Sequence[int]) -> list[list[str]]:
    ends = np.cumsum(counts)
    return [list(people[end - count : end]) for count, end in zip(counts, ends)]
