"""ComBat from sums against ComBat on one table, written anew from the papers with other algebra."""

import numpy as np
import pytest

from fedbrain.data import combat

SIZES = {"amber": 40, "birch": 25, "cedar": 12}


def cohort(features=30, seed=0, sizes=SIZES):
    """Site -> (age and sex, features), with effects of sites and of covariates."""
    rng = np.random.default_rng(seed)
    height, slopes = rng.normal(1000, 300, features), rng.normal(0, 2, (2, features))
    sites = {}
    for k, (name, n) in enumerate(sizes.items()):
        x = np.stack([rng.uniform(20, 80 - 15 * k, n), rng.integers(0, 2, n)], 1).astype(float)
        noise = rng.normal(0, 20, (n, features)) * np.sqrt(rng.gamma(8, 1 / 8, features))
        sites[name] = (x, height + x @ slopes + 15 * k + rng.normal(0, 8, features) + noise)
    return sites


def pooled(sites, turns=2000):
    """Site -> corrected features, from the table of everybody: a design of dummies and covariates,
    standardised values, and loops over people's values in place of sums.
    """
    names = list(sites)
    site = np.concatenate([[k] * len(sites[name][0]) for k, name in enumerate(names)])
    x, y = (np.concatenate([sites[name][part] for name in names]) for part in (0, 1))
    design = np.column_stack([site == k for k in range(len(names))] + [x]).astype(float)
    coefficients = np.linalg.lstsq(design, y, rcond=None)[0]
    shares = np.bincount(site) / len(site)
    grand = shares @ coefficients[: len(names)]
    variance = np.mean((y - design @ coefficients) ** 2, axis=0)
    kept = grand + x @ coefficients[len(names) :]
    z = (y - kept) / np.sqrt(variance)
    corrected = {}
    for k, name in enumerate(names):
        values = z[site == k]
        n = len(values)
        g_hat, d_hat = values.mean(0), values.var(0, ddof=1)
        g_bar, tau2 = g_hat.mean(), g_hat.var(ddof=1)
        lam, theta_over = d_hat.mean() ** 2 / d_hat.var(ddof=1) + 2, d_hat.var(ddof=1)
        theta = d_hat.mean() * (d_hat.mean() ** 2 + theta_over) / theta_over
        g, d = g_hat, d_hat
        for _ in range(turns):
            g = (n * tau2 * g_hat + d * g_bar) / (n * tau2 + d)
            d = (theta + 0.5 * sum((v - g) ** 2 for v in values)) / (n / 2 + lam - 1)
        corrected[name] = np.sqrt(variance) * (values - g) / np.sqrt(d) + kept[site == k]
    return corrected


@pytest.mark.parametrize("seed", range(3))
def test_sums_give_what_one_table_gives(seed):
    sites = cohort(seed=seed)
    fitted, expected = combat.fit(sites), pooled(sites)
    for name, (x, y) in sites.items():
        np.testing.assert_allclose(combat.apply(fitted, name, x, y), expected[name], rtol=1e-9)


def test_a_site_tells_as_many_numbers_whatever_its_people():
    for n in (10, 100):
        x, y = np.ones((n, 2)), np.ones((n, 7))
        told = combat.sums(x, y)
        assert told.xx.shape == (3, 3)
        assert told.xy.shape == (3, 7)
        common = combat.Common({"a": np.zeros(7)}, np.zeros((2, 7)))
        assert combat.squares(common, "a", x, y).shape == (7,)


def test_the_order_of_sites_and_of_people_does_not_matter():
    sites = cohort()
    shuffled = {}
    for name in reversed(sites):
        order = np.random.default_rng(0).permutation(len(sites[name][0]))
        shuffled[name] = tuple(part[order] for part in sites[name])
    one, other = combat.fit(sites), combat.fit(shuffled)
    for name in sites:
        np.testing.assert_allclose(one.effects[name], other.effects[name], rtol=1e-9)


def test_shifts_and_spreads_that_were_put_in_are_found_and_the_covariates_stay():
    """Many people and features of which each site has its own shift and spread: the closed form."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20_000, 1))
    noise = rng.normal(size=(20_000, 4))
    shift, spread = np.array([1.0, -1, 2, 0]), np.array([1.0, 4, 9, 0.25])
    half = slice(0, 10_000), slice(10_000, None)
    clean = 3 * x + noise
    sites = {
        "a": (x[half[0]], 3 * x[half[0]] + shift + np.sqrt(spread) * noise[half[0]]),
        "b": (x[half[1]], 3 * x[half[1]] - shift + noise[half[1]]),
    }
    fitted = combat.fit(sites)
    ratio = fitted.effects["a"].spread / fitted.effects["b"].spread
    np.testing.assert_allclose(ratio, spread, rtol=0.1)
    difference = fitted.effects["a"].shift - fitted.effects["b"].shift
    np.testing.assert_allclose(difference * fitted.scale, 2 * shift, atol=0.1)
    np.testing.assert_allclose(fitted.slopes, np.full((1, 4), 3.0), atol=0.05)
    both = [combat.apply(fitted, name, *sites[name]) for name in "ab"]
    np.testing.assert_allclose(both[0].mean(0) - both[1].mean(0), 0, atol=0.15)
    assert np.corrcoef(np.concatenate(both)[:, 3], clean[:, 3])[0, 1] > 0.99


def test_without_spread_a_persons_covariates_do_not_enter_the_corrected_features():
    sites = cohort()
    fitted = combat.fit(sites, spread=False)
    x, y = sites["cedar"]
    corrected = combat.apply(fitted, "cedar", x, y)
    np.testing.assert_allclose(combat.apply(fitted, "cedar", x + 10, y), corrected, rtol=1e-12)
    n, gamma = SIZES["cedar"], fitted.effects["cedar"].shift
    rough = np.mean(y - fitted.height - x @ fitted.slopes, 0) / fitted.scale
    t2 = rough.var(ddof=1)
    np.testing.assert_allclose(gamma, (n * t2 * rough + rough.mean()) / (n * t2 + 1), rtol=1e-9)
    np.testing.assert_allclose(corrected, y - fitted.scale * gamma, rtol=1e-12)
    assert not np.allclose(
        combat.apply(combat.fit(sites), "cedar", x, y),
        combat.apply(combat.fit(sites), "cedar", x + 10, y),
    )


def test_the_effects_of_a_site_do_not_change_with_units():
    sites = cohort()
    in_litres = {name: (x, y / 1e6) for name, (x, y) in sites.items()}
    one, other = combat.fit(sites), combat.fit(in_litres)
    for name in sites:
        np.testing.assert_allclose(one.effects[name], other.effects[name], rtol=1e-6)


def test_what_cannot_be_estimated_is_refused():
    sites = cohort()
    same = {name: (np.ones_like(x), y) for name, (x, y) in sites.items()}
    with pytest.raises(ValueError, match="differ within sites"):
        combat.fit(same)
    twice = {name: (x[:, [0, 0]], y) for name, (x, y) in sites.items()}
    with pytest.raises(ValueError, match="follows from the others"):
        combat.fit(twice)
    follows = {
        name: (x, np.where(np.arange(30) == 3, x[:, :1], y)) for name, (x, y) in sites.items()
    }
    with pytest.raises(combat.FollowsError) as error:
        combat.fit(follows)
    assert error.value.feature == 3
