"""Sample sizes: tabled values, a simulation, and the reverse question."""

import numpy as np
import pytest
from scipy import stats

from fedbrain.analysis.sample_size import people_needed, pilot_of, power, smallest_difference


# G*Power, t test of matched pairs, two-sided, level .05
@pytest.mark.parametrize(
    ("effect", "wanted", "people"),
    [(0.2, 0.8, 199), (0.5, 0.8, 34), (0.8, 0.8, 15), (0.5, 0.9, 44), (0.2, 0.95, 327)],
)
def test_numbers_of_people_that_are_tabled(effect, wanted, people):
    assert people_needed(effect, 1.0, wanted) == people
    assert people_needed(5 * effect, 5.0, wanted) == people
    assert power(people - 1, effect, 1.0) < wanted <= power(people, effect, 1.0)


def test_the_power_is_how_often_the_test_finds_the_difference():
    rng = np.random.default_rng(0)
    samples = rng.normal(0.6, 1.5, (20_000, 40))
    found = (stats.ttest_1samp(samples, 0.0, axis=1).pvalue < 0.05).mean()
    assert abs(found - power(40, 0.6, 1.5)) < 0.01


def test_the_smallest_difference_is_the_reverse():
    for people in (10, 34, 500):
        difference = smallest_difference(people, 2.0, 0.8)
        assert power(people, difference, 2.0) == pytest.approx(0.8, abs=1e-6)


def test_large_effects_and_small_ones():
    assert people_needed(100.0, 1.0, 0.8) <= 3
    assert power(1000, 5.0, 1.0) == pytest.approx(1.0)
    assert people_needed(0.001, 1.0, 0.8) == pytest.approx(7_848_880, rel=0.001)


def test_the_interval_of_the_spread_holds_it():
    rng = np.random.default_rng(0)
    ends = np.asarray([pilot_of(rng.normal(0, 3, 15)).sd_95 for _ in range(2000)])
    assert abs(((ends[:, 0] < 3) & (ends[:, 1] > 3)).mean() - 0.95) < 0.015
