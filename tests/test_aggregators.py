"""Contracts of every aggregation rule, on a nested tree and on one matrix. A row in the table adds the tests."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fedbrain.aggregators import AGGREGATORS, BATCH_STATISTICS
from fedbrain.build import call

RULES = {name: name + "()" for name in AGGREGATORS}
TREES = {
    "matrix": lambda x: x,
    "nested": lambda x: {"a": x[:, :3], "b": {"c": x[:, 3:].reshape(x.shape[0], -1, 1), "private": None}},
}


def _apply(rule, tree, weights):
    link = call(rule, AGGREGATORS)
    params = jax.tree.map(lambda x: jnp.zeros(x.shape[1:]), tree)
    return link.update(tree, link.init(params), params, weights=jnp.asarray(weights))[0]


@pytest.fixture
def deltas():
    return jax.random.normal(jax.random.key(1), (5, 7))


@pytest.mark.parametrize("tree", TREES.values(), ids=TREES)
@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
class TestContract:
    def test_removes_the_clients_axis(self, rule, tree, deltas):
        out = _apply(rule, tree(deltas), jnp.ones(5))
        assert jax.tree.map(jnp.shape, out) == jax.tree.map(lambda x: x.shape[1:], tree(deltas))

    def test_agrees_when_clients_agree(self, rule, tree, deltas):
        same = jnp.broadcast_to(deltas[:1], deltas.shape)
        out = _apply(rule, tree(same), jnp.asarray([1.0, 2, 3, 4, 5]))
        for a, b in zip(jax.tree.leaves(out), jax.tree.leaves(tree(same))):
            np.testing.assert_allclose(a, b[0], rtol=1e-6)

    @pytest.mark.parametrize("garbage", [jnp.nan, jnp.inf, 1e30])
    def test_absent_clients_do_not_exist(self, rule, tree, deltas, garbage):
        weights = jnp.asarray([3.0, 0.0, 1.0, 0.0, 2.0])
        dirty = deltas.at[jnp.asarray([1, 3])].set(garbage)
        out, expected = (
            _apply(rule, tree(dirty), weights),
            _apply(rule, tree(deltas[jnp.asarray([0, 2, 4])]), weights[weights > 0]),
        )
        for a, b in zip(jax.tree.leaves(out), jax.tree.leaves(expected)):
            np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)

    def test_does_not_depend_on_the_order_of_clients(self, rule, tree, deltas):
        order, weights = jnp.asarray([4, 2, 0, 1, 3]), jnp.asarray([3.0, 1.0, 1.0, 5.0, 2.0])
        out, permuted = _apply(rule, tree(deltas), weights), _apply(rule, tree(deltas[order]), weights[order])
        for a, b in zip(jax.tree.leaves(out), jax.tree.leaves(permuted)):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)

    def test_compiles_once_for_every_pattern_of_dropout(self, rule, tree, deltas):
        traces = []

        @jax.jit
        def apply(x, weights):
            traces.append(1)
            return _apply(rule, tree(x), weights)

        for weights in ([1.0] * 5, [1.0, 0, 0, 0, 0], [0.0] * 5):
            assert all(jnp.isfinite(x).all() for x in jax.tree.leaves(apply(deltas, jnp.asarray(weights))))
        assert len(traces) == 1


def test_weighted_mean_is_the_weighted_mean(deltas):
    weights = np.asarray([3.0, 1.0, 4.0, 1.0, 5.0])
    expected = np.average(np.asarray(deltas, np.float64), axis=0, weights=weights)
    np.testing.assert_allclose(_apply("weighted_mean()", deltas, weights), expected, rtol=1e-6)


def test_pooled_statistics_are_those_of_the_union():
    """Law of total variance, against the moments of the pooled samples."""
    rng = np.random.default_rng(0)
    samples = [rng.normal(m, s, (n, 4)) for m, s, n in ((0, 1, 30), (3, 2, 50), (-2, 0.5, 20))]
    state = {
        "batch_stats": {
            "norm1": {
                "mean": jnp.asarray(np.stack([x.mean(0) for x in samples])),
                "var": jnp.asarray(np.stack([x.var(0) for x in samples])),
            }
        }
    }
    weights = jnp.asarray([30.0, 50.0, 20.0])
    pooled = BATCH_STATISTICS["pooled"](state, weights)["batch_stats"]["norm1"]
    union = np.concatenate(samples)
    np.testing.assert_allclose(pooled["mean"], union.mean(0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(pooled["var"], union.var(0), rtol=1e-5)
    plain = BATCH_STATISTICS["mean"](state, weights)["batch_stats"]["norm1"]
    assert (plain["var"] < pooled["var"]).all()  # the mean of variances ignores the distance between sites
