"""Accuracy of groups of people: by sex, by age band, by any column with classes.

A person belongs to one group, by the first known value. Groups of few people are not told, as in
tables of the data (`fedbrain.data.small_counts`): a site's neighbouring classes are merged until
each holds FEWEST people or nobody. "pooled" has the classes that all sites have which tell of
classes, and the people of these. So no smaller group can be had by subtracting a site's rows from
others. Where no site can tell of classes, the people of all sites are taken together.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from fedbrain.analysis.measures import measures_of
from fedbrain.analysis.predictions import Predictions, concatenate, take
from fedbrain.data.bands import Bands
from fedbrain.data.small_counts import FEWEST, merged_edges

ALL = "pooled"


class Grouping(NamedTuple):
    """A column that results are told by."""

    bands: Bands  # its classes
    people: Mapping[str, int]  # person, as predictions name them -> class


def _classes(tests: Predictions, grouping: Grouping) -> np.ndarray:
    """The class of each scan, -1 where its person has no value."""
    return np.asarray([grouping.people.get(s, -1) for s in tests.subjects], int)


def _people(tests: Predictions, classes: np.ndarray) -> dict[str, int]:
    return dict(zip(tests.subjects, classes.tolist()))


def _edges(people: Mapping[str, int], bins: int, fewest: int) -> list[int]:
    """The edges that may be told; empty where fewer than `fewest` people have, or lack, a value."""
    counts = np.bincount([k for k in people.values() if k >= 0], minlength=bins)
    without = len(people) - counts.sum()
    few = counts.sum() < fewest or 0 < without < fewest
    return [] if few else merged_edges(counts, fewest)


def _rows(tests: Predictions, classes: np.ndarray, bands: Bands, kept: list[int]) -> list[Any]:
    """Accuracy in each class that holds somebody."""
    rows, measures = [], measures_of(tests)
    for low, high in pairwise(kept):
        [chosen] = np.nonzero((classes >= low) & (classes < high))
        if chosen.size:
            measured = measures.site(take(tests, chosen))
            limits = {"low": bands.lows[low], "high": bands.highs[high - 1]}
            rows.append(limits | {name: measured[name] for name in measures.of_groups})
    return rows


def by_group(
    sites: Mapping[str, Predictions], grouping: Grouping, *, fewest: int = FEWEST
) -> dict[str, list[Any]]:
    """Accuracy of one model by the classes of a column.

    Args:
      sites: site -> predictions for test scans.
      grouping: the column.
      fewest: people in a class of whom anything is told.

    Returns:
      Site, or "pooled" -> rows: `low` and `high` of a class, and its accuracy. An empty list for a
      site that cannot tell of two classes.
    """
    bins = len(grouping.bands.lows)
    classes = {site: _classes(p, grouping) for site, p in sites.items()}
    kept = {site: _edges(_people(p, classes[site]), bins, fewest) for site, p in sites.items()}
    told = [site for site in sites if len(kept[site]) > 2]
    together = concatenate([sites[site] for site in told or sites])
    its_classes = np.concatenate([classes[site] for site in told or sites])
    common = (
        sorted(set.intersection(*(set(kept[site]) for site in told)))
        if told
        else _edges(_people(together, its_classes), bins, fewest)
    )
    rows = {
        site: _rows(p, classes[site], grouping.bands, kept[site]) if site in told else []
        for site, p in sites.items()
    }
    return rows | {ALL: _rows(together, its_classes, grouping.bands, common)}
