"""Change within people: closed forms, and coverage."""

import numpy as np
import pytest

from fedbrain.analysis.longitudinal import change_within


def test_a_constant_error_and_differences_between_people_fall_out():
    rng = np.random.default_rng(0)
    subjects = [f"p{i}" for i in range(12) for _ in range(3)]
    age = np.repeat(rng.uniform(30, 70, 12), 3) + np.tile([0.0, 1.0, 4.0], 12)
    own = np.repeat(rng.normal(0, 20, 12), 3)
    told = change_within(subjects, age, 0.7 * age + own)
    assert told is not None
    assert (told.people, told.scans, told.spread) == (12, 36, pytest.approx(4.0))
    assert told.slope == pytest.approx(0.7)
    assert told.slope_95 == pytest.approx((0.7, 0.7), abs=1e-6)


def test_against_least_squares_with_a_dummy_for_each_person():
    rng = np.random.default_rng(1)
    subjects = rng.integers(0, 9, 60)
    x, y = rng.normal(size=60), rng.normal(size=60)
    design = np.column_stack([x, *(subjects == k for k in range(9))]).astype(float)
    expected = np.linalg.lstsq(design, y, rcond=None)[0][0]
    told = change_within([str(s) for s in subjects], x, y)
    assert told is not None
    assert told.slope == pytest.approx(expected)


def test_people_with_one_scan_or_one_target_or_no_target_do_not_count():
    subjects = ["a", "b", "b", "c", "c", "d", "d"]
    target = np.array([50, 60, 60, 40, np.nan, 20, 22.0])
    told = change_within(subjects, target, np.arange(7.0))
    assert told is not None
    assert (told.people, told.scans, told.slope) == (1, 2, 0.5)
    assert np.isnan(told.slope_95[0])
    assert change_within(subjects[:3], target[:3], np.arange(3.0)) is None


def test_the_interval_holds_the_truth():
    held = []
    for seed in range(400):
        rng = np.random.default_rng(seed)
        subjects = [str(i) for i in range(25) for _ in range(2)]
        age = np.repeat(rng.uniform(30, 70, 25), 2) + rng.uniform(0, 5, 50)
        said = age + np.repeat(rng.normal(0, 6, 25), 2) + rng.normal(0, 3, 50)
        told = change_within(subjects, age, said)
        assert told is not None
        held.append(told.slope_95[0] <= 1 <= told.slope_95[1])
    assert 0.92 <= np.mean(held) <= 0.975
