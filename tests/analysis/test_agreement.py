"""Limits of agreement and calibration, against numpy."""

import numpy as np
import pytest

from fedbrain.analysis.agreement import agreement, agreement_figure, agreement_rows
from fedbrain.analysis.figures import svg
from fedbrain.analysis.predictions import Predictions

RNG = np.random.default_rng(0)


def predicted(n=200, spread=1.0, shift=0.0):
    target = RNG.uniform(20, 80, n)
    prediction = 50 + spread * (target - 50) + shift + RNG.normal(0, 5, n)
    return Predictions([f"s{i}" for i in range(n)], target, prediction, np.full(n, 50.0))


def test_limits_and_slope_are_those_of_numpy():
    p = predicted(shift=2.0)
    a, gap = agreement(p), p.prediction - p.target
    half = 1.959964 * gap.std(ddof=1)
    assert (a.mean, a.lower, a.upper) == pytest.approx(
        (gap.mean(), gap.mean() - half, gap.mean() + half)
    )
    assert a.slope == pytest.approx(np.polyfit(p.prediction, p.target, 1)[0])
    ends = (a.mean_95, a.lower_95, a.upper_95, a.slope_95)
    values = (a.mean, a.lower, a.upper, a.slope)
    assert all(low < value < high for (low, high), value in zip(ends, values))


def test_intervals_cover_the_truth():
    """Of 200 samples with limits of 2 - 9.8 and 2 + 9.8: 95 %, less three standard errors."""
    found = [agreement(predicted(60, shift=2.0)) for _ in range(200)]
    upper = 2 + 1.959964 * 5
    assert np.mean([a.upper_95[0] < upper < a.upper_95[1] for a in found]) > 0.9
    assert np.mean([a.mean_95[0] < 2 < a.mean_95[1] for a in found]) > 0.9


def test_predictions_that_are_spread_too_far_have_a_slope_below_1():
    assert agreement(predicted(spread=2.0)).slope < 0.6


def test_scans_of_a_person_are_no_more_people():
    p = predicted(30)
    twice = Predictions([*p.subjects, *p.subjects], *(np.tile(x, 2) for x in p[1:4]))
    one, two = agreement(p), agreement(twice)
    assert two.scans == 60
    assert two.slope_95 == pytest.approx(one.slope_95)
    assert np.diff(two.upper_95) == pytest.approx(np.diff(one.upper_95), rel=0.02)


def test_one_person_has_no_intervals():
    rows = agreement_rows({"federated": {"amber": predicted(1)}})
    assert rows[2][3:] == ["n/a", "n/a", "n/a", "n/a", "n/a", "n/a", "n/a"]


def test_the_figure_is_the_same_twice():
    sites = {"amber": predicted(), "birch": predicted()}
    a, b = (
        svg(agreement_figure(sites, title="federated", unit="years", synthetic=True))
        for _ in range(2)
    )
    assert a == b
    assert b"(synthetic)" in a
