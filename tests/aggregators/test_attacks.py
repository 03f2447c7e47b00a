"""Attackers do what their papers say, in the last rows of those present."""

from statistics import NormalDist

import jax.numpy as jnp
import numpy as np
import pytest

from fedbrain.aggregators.attacks import ATTACKS
from fedbrain.experiments.spec import call
from tests import tiny  # noqa: F401  (the import hook comes first)

X = np.random.default_rng(0).normal(1, 1, (6, 5)).astype(np.float32)
WEIGHTS = np.asarray([1.0, 0, 2, 1, 4, 1], np.float32)  # the second one is absent
HONEST, BAD = [0, 2, 3], [4, 5]


def attack(spec, x=X, weights=WEIGHTS):
    link = call(spec, ATTACKS)
    attacked, state = link.update(
        jnp.asarray(x), link.init(jnp.zeros(5)), None, weights=jnp.asarray(weights), metrics={}
    )
    return np.asarray(attacked.updates), np.asarray(attacked.changed["weights"]), state


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("inner_product_manipulation(2, epsilon=0.5)", -0.5 * X[HONEST].mean(0)),
        ("mimic(2)", X[0]),
        ("mimic(2, victim=1)", X[0]),  # the victim is away
        ("mimic(2, victim=3)", X[3]),
        ("sign_flip(2)", -X[BAD]),
        ("scale(2, factor=10.0)", 10 * X[BAD]),
        ("not_a_number(2)", np.full((2, 5), np.nan)),
    ],
)
def test_attack_is_its_formula(spec, expected):
    attacked, weights, _ = attack(spec)
    np.testing.assert_allclose(attacked[BAD], np.broadcast_to(expected, (2, 5)), rtol=1e-6)
    np.testing.assert_array_equal(attacked[HONEST], X[HONEST])
    np.testing.assert_array_equal(weights, WEIGHTS)


def test_a_little_is_enough():
    z = NormalDist().inv_cdf((25 - 5 - (13 - 5)) / (25 - 5))
    x = np.tile(X, (5, 1))[:25]
    attacked, _, _ = attack("a_little_is_enough(5, clients=25)", x, np.ones(25, np.float32))
    honest = x[:20].astype(np.float64)
    expected = np.tile(honest.mean(0) - z * honest.std(0, ddof=1), (5, 1))
    np.testing.assert_allclose(attacked[20:], expected, rtol=1e-5)


def test_random_failures_are_drawn_anew_each_round_and_again_the_same():
    for spec in ("gaussian(2, deviation=3.0)", "drop_out(0.5)"):
        link = call(spec, ATTACKS)
        reports = {"weights": jnp.ones(40), "metrics": {}}
        x, first = jnp.ones((40, 3)), link.init(jnp.zeros(3))
        a, second = link.update(x, first, None, **reports)
        b, _ = link.update(x, second, None, **reports)
        again, _ = link.update(x, first, None, **reports)
        np.testing.assert_array_equal(a.updates, again.updates)
        assert not (
            np.array_equal(a.updates, b.updates)
            and np.array_equal(a.changed["weights"], b.changed["weights"])
        )
    assert 8 < float(link.update(x, first, None, **reports)[0].changed["weights"].sum()) < 32


@pytest.mark.parametrize(
    "spec",
    ["sign_flip(-1)", "drop_out(1.0)", "a_little_is_enough(3, clients=5)", "gaussian(1, -1.0)"],
)
def test_impossible_attacks_are_refused(spec):
    with pytest.raises(ValueError, match="Expected"):
        call(spec, ATTACKS)
