"""Intervals over people, sites and seeds: closed forms, and their coverage (slow)."""

import math

import numpy as np
import pytest
from scipy import stats

from fedbrain.analysis.intervals import (
    FEWEST_PEOPLE,
    Group,
    by_person,
    over_people,
    over_seeds,
    over_sites,
    span,
    standard_error,
)
from tests.analysis.coverage import CASES, LEAST, MOST, OUTSIDE, coverage


def _group(n, seed=0):
    return Group(np.abs(np.random.default_rng(seed).normal(size=n)), np.ones(n))


def test_of_one_scan_a_person_the_standard_error_is_the_textbooks():
    group = _group(30)
    assert standard_error(group) == pytest.approx(stats.sem(group.sums))
    assert math.isnan(standard_error(_group(1)))


def test_of_many_normal_values_the_interval_is_the_normal_one():
    values = np.random.default_rng(0).normal(5, 1, 3000)
    low, high = over_people([Group(values, np.ones(3000))])
    half = 1.96 * stats.sem(values)
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.005)


def test_ten_copies_of_every_scan_do_not_make_the_interval_narrower():
    values, people = np.random.default_rng(0).normal(size=40), [f"s{i}" for i in range(40)]
    once = over_people([by_person(values, people)])
    tenfold = over_people([by_person(np.repeat(values, 10), list(np.repeat(people, 10)))])
    np.testing.assert_allclose(once, tenfold, rtol=1e-6)


def test_no_interval_for_few_people_or_seeds_and_none_of_width_for_equal_values():
    assert math.isnan(over_people([_group(FEWEST_PEOPLE - 1)])[0])
    assert math.isnan(over_people([_group(9), _group(1)])[0])
    assert over_people([Group(np.full(9, 2.0), np.ones(9))]) == (2, 2)
    assert math.isnan(over_seeds(np.ones(2))[0])
    assert math.isnan(over_sites([1.0, 2.0], [0.5, math.nan], [9, 9])[0])
    assert span(over_seeds(np.ones(2))) == "n/a"


def test_hardly_any_person_with_another_value_gives_a_finite_interval():
    low, high = over_people([Group(np.asarray([1.0, *[0.0] * 19]), np.ones(20))])
    assert -1 < low < 0.05 < high < 2


def test_over_seeds_and_sites_as_by_hand():
    x = np.asarray([1.0, 2.0, 6.0])
    expected = stats.t.interval(0.95, 2, x.mean(), stats.sem(x))
    assert over_seeds(x) == pytest.approx(expected)
    assert over_sites([3.0], [0.5], [10]) == pytest.approx(stats.t.interval(0.95, 9, 3, 0.5))
    both = over_sites([3.0, 5.0], [0.5, 0.5], [10, 10])
    assert both == pytest.approx(stats.t.interval(0.95, 18, 4, 0.5 / math.sqrt(2)))


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_intervals_cover_what_they_should(name):
    """2,000 draws each; `python -m tests.analysis.coverage` prints the table of
    docs/statistics.md.
    """
    share = coverage(CASES[name])
    least, most = OUTSIDE.get(name, (LEAST, MOST))
    assert least <= share <= most, f"{name}: {share}"
