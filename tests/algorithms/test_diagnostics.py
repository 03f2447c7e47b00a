"""The round's report, and what hospitals are worth."""

import jax.numpy as jnp
import numpy as np
import pytest

from fedbrain.algorithms.diagnostics import diagnose
from fedbrain.analysis.shapley import gtg_shapley, leave_one_out, shapley

X = np.random.default_rng(0).normal(1, 1, (5, 30)).astype(np.float32)
N = np.asarray([10.0, 0, 3, 7, 1], np.float32)
HERE = [0, 2, 3, 4]


def test_opposite_and_equal_clients():
    d = jnp.asarray([[3.0, 4.0], [3.0, 4.0], [jnp.nan, 1.0]])
    info = diagnose(d, jnp.asarray([1.0, 3.0, 0.0]), d[0])
    np.testing.assert_allclose(info["delta_norm"], [5, 5, 0])
    np.testing.assert_allclose(info["cosine"], [1, 1, 0], atol=1e-6)
    np.testing.assert_allclose(info["diversity"], 1, rtol=1e-6)
    np.testing.assert_allclose(info["effective_rank"], 1, rtol=1e-6)
    assert float(
        diagnose(jnp.asarray([[1.0, 0.0], [0.0, 1.0]]), jnp.ones(2), jnp.ones(2))["diversity"]
    ) == pytest.approx(2)


def test_everything_against_its_definition():
    dirty = X.copy()
    dirty[1] = np.nan
    x, p = X[HERE].astype(np.float64), N[HERE] / N[HERE].sum()
    mean = p @ x
    info = {
        k: np.asarray(v)
        for k, v in diagnose(
            jnp.asarray(dirty), jnp.asarray(N), jnp.asarray(mean, jnp.float32)
        ).items()
    }
    apart = np.linalg.norm(x - mean, axis=1)
    np.testing.assert_allclose(info["drift"][HERE], apart / np.linalg.norm(mean), rtol=1e-5)
    without = [np.delete(p, i) @ np.delete(x, i, 0) / (1 - p[i]) for i in range(4)]
    np.testing.assert_allclose(
        info["influence"][HERE], [np.linalg.norm(mean - w) for w in without], rtol=1e-5
    )
    g = x @ x.T
    np.testing.assert_allclose(info["effective_rank"], np.trace(g) ** 2 / (g**2).sum(), rtol=1e-5)
    np.testing.assert_allclose(info["effective_weight"][HERE], p, rtol=1e-4)
    np.testing.assert_allclose(info["explained"], 1, rtol=1e-5)
    assert all(np.isfinite(v).all() for v in info.values())


def test_effective_weights_tell_what_a_rule_chose():
    chosen = diagnose(jnp.asarray(X), jnp.ones(5), jnp.asarray(X[3]))
    np.testing.assert_allclose(chosen["effective_weight"], np.eye(5)[3], atol=1e-4)
    outside = diagnose(jnp.asarray(X), jnp.ones(5), jnp.asarray(np.median(X, 0)))
    assert 0.5 < float(outside["explained"]) < 1


GAME = {"": 0.0, "a": 3.0, "b": 1.0, "c": 0.0, "ab": 6.0, "ac": 3.0, "bc": 1.0, "abc": 6.0}


def value(members):
    return GAME["".join(sorted(members))]


def test_shapley_of_a_game_by_hand():
    """c is a dummy; a and b share their synergy of 2 equally; values sum to V(all)."""
    assert {k: float(v) for k, v in shapley(value, "abc").items()} == pytest.approx(
        {"a": 4.0, "b": 2.0, "c": 0.0}
    )
    assert {k: float(v) for k, v in leave_one_out(value, "abc").items()} == {
        "a": 5.0,
        "b": 3.0,
        "c": 0.0,
    }
    sampled = gtg_shapley(value, "abc", tolerance=0.0, seed=0, orders=3000, settled=0.0)
    assert {k: float(v) for k, v in sampled.items()} == pytest.approx(
        {"a": 4.0, "b": 2.0, "c": 0.0}, abs=0.15
    )
    with pytest.raises(ValueError, match="gtg_shapley"):
        shapley(value, "abcdefg")
