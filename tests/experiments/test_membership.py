"""The membership audit finds what is there, and no more."""

import numpy as np
import pytest
from scipy.stats import norm

from fedbrain.analysis.membership import area_under_curve, epsilon_from_below, judge
from fedbrain.experiments.membership import attack, audit


def _scores(mu, trials=4000, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(mu, 1, trials), rng.normal(0, 1, trials)


@pytest.mark.parametrize("mu", [0.0, 0.7, 2.0])
def test_the_area_is_that_of_two_normals_and_its_interval_holds_it(mu):
    expected = norm.cdf(mu / np.sqrt(2))
    held = 0
    for seed in range(40):
        _, (low, high) = area_under_curve(*_scores(mu, trials=200, seed=seed))
        held += low <= expected <= high
    assert held >= 33  # 95 % of 40 would be 38
    assert area_under_curve(*_scores(mu))[0] == pytest.approx(expected, abs=0.02)


def test_epsilon_from_below_stays_below_and_rises_with_what_is_told():
    from fedbrain.analysis.gaussian_privacy import epsilon_of

    found = [epsilon_from_below(*_scores(mu), 1e-5) for mu in (0.0, 0.5, 1.0, 2.0, 4.0)]
    assert found == sorted(found)
    assert found[0] < 0.2
    for least, mu in zip(found[1:], (0.5, 1.0, 2.0, 4.0)):
        assert 0 < least < epsilon_of(mu, 1e-5)


def test_the_attack_is_as_strong_as_the_account_says():
    rounds, noise = 4, 2.0  # mu = sqrt(rounds) / noise = 1
    told = judge(*attack(noise, people=10, rounds=rounds, trials=600), 1e-5)
    low, high = told.area_95
    assert low < norm.cdf(1 / np.sqrt(2)) < high
    assert judge(*attack(0.0, people=10, rounds=rounds, trials=100), 1e-5).area == 1


def test_the_page_says_what_was_found():
    page = audit(2.0, people=10, rounds=4, trials=200, delta_dp=1e-5)
    assert "epsilon is at most (the account)          4.38         for delta 1e-05" in page
    assert "better than by a coin, within what the account allows" in page
    assert "unbounded: no noise" in audit(0.0, people=10, rounds=4, trials=100, delta_dp=1e-5)
    with pytest.raises(ValueError, match="--trials: expected at least 100, got 9"):
        audit(2.0, people=10, rounds=4, trials=9, delta_dp=1e-5)
    with pytest.raises(ValueError, match="--noise_multiplier, --delta: expected"):
        audit(-1.0, people=10, rounds=4, trials=100, delta_dp=1e-5)
