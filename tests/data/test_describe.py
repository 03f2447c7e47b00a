"""What leaves a site: sums over people, and counts of classes that hold enough of them."""

import numpy as np
import pytest

from fedbrain.data.dataset import Scans
from fedbrain.data.describe import HISTOGRAMS, describe, sums
from fedbrain.data.small_counts import FEWEST, merged_edges

EDGES = tuple(float(e) for e in range(10, 101, 10))


def test_classes_hold_enough_people_or_nobody_and_everybody_is_in_one():
    rng = np.random.default_rng(0)
    for _ in range(300):
        counts = rng.integers(0, rng.integers(2, 15), rng.integers(1, 12))
        counts[0] += FEWEST if counts.sum() < FEWEST else 0
        edges = merged_edges(counts)
        classes = np.add.reduceat(counts, edges[:-1])
        assert (edges[0], edges[-1]) == (0, len(counts))
        assert classes.sum() == counts.sum()
        assert ((classes == 0) | (classes >= FEWEST)).all()


def test_nobody_learns_where_a_bin_of_few_people_is():
    """A tail of two people is merged up to the outer edge, and so are zeros beside it."""
    assert merged_edges(np.asarray([0, 9, 0, 2, 0, 0])) == [0, 1, 6]
    assert merged_edges(np.asarray([9, 0, 2, 0, 9])) == [0, 1, 5]
    assert merged_edges(np.asarray([9, 0, 0, 9, 0])) == [0, 1, 2, 3, 4, 5]


def test_a_small_class_is_told_with_another_one():
    name, edges = HISTOGRAMS["classes"]("sex", 0, 1)
    assert (name, edges) == ("sex", (-0.5, 0.5, 1.5))
    summary = sums(np.asarray([0] * 3 + [1] * 20, np.float32), edges)
    assert (summary.counts, summary.edges, summary.merged) == ((23,), (-0.5, 1.5), 1)
    assert sums(np.asarray([0] * 9 + [1] * 20, np.float32), edges).counts == (9, 20)
    with pytest.raises(ValueError, match="at least two values that increase"):
        HISTOGRAMS["classes"]("sex", 1)


def test_scans_of_one_person_are_one_person():
    """Eight scans of one person beside 20 people: no class of its own, and no weight of eight."""
    values = np.asarray([95.0] * 8 + [25.0] * 10 + [35.0] * 10, np.float32)
    people = ["many"] * 8 + [f"s{i}" for i in range(20)]
    summary = sums(values, EDGES, people)
    assert (summary.scans, summary.people, sum(summary.counts)) == (28, 21, 21)
    assert all(count == 0 or count >= FEWEST for count in summary.counts)
    assert summary.powers[0] == 40 + 10 * -30 + 10 * -20


def test_of_fewer_than_five_people_nothing_is_told():
    summary = sums(np.asarray([20, 30, 40, np.nan], np.float32), EDGES)
    assert summary.withheld
    assert (summary.people, summary.scans, summary.missing) == (0, 0, 4)
    assert (summary.powers, summary.counts) == ((0, 0, 0), ())
    assert sums(np.full(9, 30, np.float32), EDGES, ["a"] * 9).withheld


def test_unknown_values_are_missing_and_a_site_without_a_column_misses_all():
    subjects = ("a", "b", "b", "c", "d", "e")
    target = np.asarray([20, np.nan, 40, 50, 50, 50], np.float32)
    scans = Scans(tuple("123456"), subjects, target, [np.zeros((1, 1, 1, 1))] * 6)
    summary = describe(scans, {"target": EDGES, "age": EDGES})
    assert (summary["target"].scans, summary["target"].people) == (5, 5)
    assert summary["target"].missing == 1
    assert (summary["age"].people, summary["age"].missing) == (0, 6)
    assert not summary["age"].withheld


def test_edges_increase():
    with pytest.raises(ValueError, match="Expected edges that increase"):
        sums(np.ones(3, np.float32), (1.0, 1.0))
