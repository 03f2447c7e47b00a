"""The accountant against those of Google (`tools/make_golden_privacy.py`) and its definition."""

import json
import math
from pathlib import Path

import pytest
from scipy.integrate import quad
from scipy.stats import norm

from fedbrain.analysis.gaussian_privacy import delta_of, epsilon_of, mu_of, noise_multiplier_of

CASES = json.loads((Path(__file__).parents[1] / "golden/privacy.json").read_text())


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c['noise_multiplier']}x{c['sums']}")
def test_epsilon_is_that_of_two_other_accountants(case):
    epsilon = epsilon_of(math.sqrt(case["sums"]) / case["noise_multiplier"], case["delta_dp"])
    assert epsilon == pytest.approx(case["pld"], rel=1e-6)  # distributions of the privacy loss
    assert epsilon < case["rdp"] < 1.2 * epsilon  # Renyi divergences: an upper bound


@pytest.mark.parametrize(("mu", "epsilon"), [(0.3, 0.5), (1.0, 1.0), (2.0, 4.0)])
def test_delta_is_the_integral_that_defines_it(mu, epsilon):
    """sup over events of P(S) - e^epsilon Q(S), with P = N(mu, 1) and Q = N(0, 1)."""
    positive = lambda x: max(norm.pdf(x - mu) - math.exp(epsilon) * norm.pdf(x), 0.0)  # noqa: E731
    assert delta_of(mu, epsilon) == pytest.approx(quad(positive, -10, 15, limit=200)[0], rel=1e-5)


def test_noise_for_an_epsilon_gives_that_epsilon():
    for epsilon in (0.1, 1.0, 3.0, 8.0, 50.0):
        noise = noise_multiplier_of(epsilon, 1e-5, sums=61)
        assert epsilon_of(math.sqrt(61) / noise, 1e-5) == pytest.approx(epsilon, rel=1e-6)
        assert mu_of(epsilon, 1e-5) == pytest.approx(math.sqrt(61) / noise)


def test_nothing_told_costs_nothing_and_no_noise_costs_everything():
    assert epsilon_of(0.0, 1e-5) == 0
    assert epsilon_of(1e9, 1e-5) == math.inf
    assert epsilon_of(1e-9, 1e-5) == 0  # less than delta alone allows
    with pytest.raises(ValueError, match="Expected 0 < delta_dp=0 < 1"):
        epsilon_of(1.0, 0.0)
    with pytest.raises(ValueError, match="Expected 0 < epsilon=-1 <"):
        mu_of(-1.0, 1e-5)
    with pytest.raises(ValueError, match="Expected sums=0 >= 1"):
        noise_multiplier_of(1.0, 1e-5, sums=0)
