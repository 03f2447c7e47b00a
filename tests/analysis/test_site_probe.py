"""Whether features tell the site: against scikit-learn, and where the answer is known."""

import numpy as np
import pytest

from fedbrain.analysis.site_probe import probabilities, shrinkage


@pytest.mark.parametrize("shape", [(40, 5), (20, 60)])
def test_the_shrinkage_is_that_of_scikit_learn(shape):
    covariance = pytest.importorskip("sklearn.covariance")
    x = np.random.default_rng(0).normal(size=shape) * np.arange(1, shape[1] + 1)
    expected = covariance.ledoit_wolf_shrinkage(x, assume_centered=True)
    np.testing.assert_allclose(shrinkage(x), expected, rtol=1e-9)


def test_two_normal_sites_are_told_apart_as_well_as_can_be():
    """Means at distance 2 in units of the SD: Bayes' rule is right with probability Phi(1)."""
    rng = np.random.default_rng(0)
    site = rng.integers(0, 2, 40_000)
    x = rng.normal(size=(40_000, 3))
    x[:, 1] += 2 * site
    said = probabilities(x[:20_000], site[:20_000], x[20_000:], 2)
    np.testing.assert_allclose(said.sum(1), 1)
    hits = (said.argmax(1) == site[20_000:]).mean()
    assert abs(hits - 0.8413) < 0.01
    expected = 1 / (1 + np.exp(-2 * (x[20_000:, 1] - 1)))
    assert np.abs(said[:, 1] - expected).max() < 0.06


def test_features_that_say_nothing_put_everybody_into_the_largest_site():
    rng = np.random.default_rng(0)
    site = (rng.uniform(size=400) < 0.2).astype(int)
    said = probabilities(rng.normal(size=(400, 2)), site, rng.normal(size=(100, 2)), 2)
    assert (said.argmax(1) == 0).all()
    constant = probabilities(np.ones((400, 2)), site, np.ones((3, 2)), 2)
    np.testing.assert_allclose(constant[:, 1], site.mean())
