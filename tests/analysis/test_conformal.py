"""Intervals for new people: closed forms, refits one by one, and coverage."""

import math

import numpy as np
import pytest

from fedbrain.analysis.conformal import half_width, margins


def people(n, seed=0):
    rng = np.random.default_rng(seed)
    age = rng.uniform(20, 80, n)
    return age, 15 + 0.7 * age + rng.laplace(0, 4, n)


@pytest.mark.parametrize(("n", "k"), [(19, 19), (20, 20), (39, 38), (99, 95), (100, 96)])
def test_the_half_width_is_the_kth_smallest_error(n, k):
    errors = np.random.default_rng(0).permutation(n) * np.where(np.arange(n) % 2, 1.0, -1.0)
    assert half_width(errors) == k - 1
    assert math.isnan(half_width(np.zeros(18)))


def test_the_correction_is_that_of_a_line_without_the_person():
    age, said = people(40)
    errors = []
    for i in range(40):
        others = np.arange(40) != i
        slope, intercept = np.polyfit(age[others], said[others], 1)
        errors.append((said[i] - intercept) / slope - age[i])
    told = margins(age, said)
    assert told.corrected_half_width == pytest.approx(np.sort(np.abs(errors))[38], rel=1e-9)
    np.testing.assert_allclose(told.corrected(said), (said - told.intercept) / told.slope)


def test_intervals_hold_for_95_in_100_new_people():
    hits, corrected_hits = [], []
    for seed in range(300):
        age, said = people(60, seed)
        told = margins(age, said)
        new_age, new_said = people(20, 1000 + seed)
        hits.append(np.abs(new_said - new_age) <= told.half_width)
        gap = told.corrected(new_said) - new_age
        corrected_hits.append(np.abs(gap) <= told.corrected_half_width)
    assert 0.945 < np.mean(hits) < 0.965
    assert 0.94 < np.mean(corrected_hits) < 0.97


def test_too_few_people_or_a_flat_line():
    age, said = people(19)
    told = margins(age, said)
    assert math.isfinite(told.half_width)
    assert math.isnan(told.corrected_half_width)
    assert math.isnan(told.corrected(said)[0])
    assert math.isnan(margins(*people(18)).half_width)
    assert math.isnan(margins(np.zeros(0), np.zeros(0)).half_width)
    age, _ = people(30)
    assert math.isnan(margins(age, np.full(30, 50.0)).corrected_half_width)
