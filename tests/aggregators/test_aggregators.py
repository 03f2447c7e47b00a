"""Contracts of every rule and link, on a nested tree and on one matrix: a row adds the tests."""

from collections import Counter
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fedbrain.aggregators import BESIDE, LINKS, RULES, chain, weighted_mean
from fedbrain.aggregators.attacks import ATTACKS
from fedbrain.aggregators.cohort import Kept
from fedbrain.aggregators.linear_algebra import gram
from fedbrain.experiments.spec import call

C, P = 9, 13
TREES = {
    "matrix": lambda x: x,
    "nested": lambda x: {
        "a": x[:, :3],
        "b": {"c": x[:, 3:].reshape(x.shape[0], -1, 1), "private": None},
    },
}
RANDOM = {"bucketing", "gaussian", "drop_out"}  # what they do depends on a client's place
ATTACK_SPECS = {
    "inner_product_manipulation": "1",
    "a_little_is_enough": "1, clients=9",
    "mimic": "1",
    "min_max": "1",
    "min_sum": "1",
    "sign_flip": "1",
    "scale": "1",
    "gaussian": "1, deviation=1.0",
    "not_a_number": "1",
    "drop_out": "0.3",
}


def metrics(c=C):
    """Everything a rule may ask for."""
    rng = np.random.default_rng(5)
    sums = ("loss", "count", "global_loss")
    reports = {name: jnp.asarray(rng.uniform(1, 3, c), jnp.float32) for name in sums}
    steps = jnp.asarray(rng.integers(1, 9, c), jnp.float32)
    others = ("discrepancy", "gap", "left_out_loss")
    more = {name: jnp.asarray(rng.uniform(0, 1, c), jnp.float32) for name in others}
    return reports | more | {"steps": steps, "trusted": jnp.zeros(c).at[0].set(1.0)}


def information(tree):
    """As Fisher information: positive, one number for each coordinate."""
    return jax.tree.map(lambda x: 1 + x**2, tree)


def jitted(link, traced=None):
    """One update of a fresh link; `traced` counts the traces for clients of one shape."""

    def run(tree, weights, metrics):
        if traced is not None:
            traced[outline(tree)] += 1
        params = jax.tree.map(lambda x: jnp.zeros(x.shape[1:]), tree)
        arguments = {"weights": weights, "metrics": metrics, "extra": information(tree)}
        return link.update(tree, link.init(params), params, **arguments)[0]

    return jax.jit(run)


def outline(tree):
    """Structure and shapes."""
    return str(jax.tree.map(jnp.shape, tree))


TRACED: dict[str, Counter] = {}  # spec -> outline of the clients -> number of traces


@cache
def known(spec):
    """Of a rule or a link of our tables, compiled once for all tests."""
    table = {n: r.make for n, r in (RULES | LINKS).items()} | ATTACKS
    return jitted(call(spec, table), TRACED.setdefault(spec, Counter()))


def apply(spec, tree, weights, reports=None, table=None):
    """One update of a fresh link, of our tables or of another one."""
    run = known(spec) if table is None else jitted(call(spec, table))
    weights = jnp.asarray(weights, jnp.float32)
    reports = reports or metrics(len(weights))
    return run(tree, weights, {name: jnp.asarray(x, jnp.float32) for name, x in reports.items()})


@pytest.fixture(scope="module")
def deltas():
    """Clients that agree more or less, as hospitals do; the first one is the server's."""
    return 0.3 * jax.random.normal(jax.random.key(1), (C, P)) + jnp.linspace(1.0, 2.0, P)


def specs(table):
    return pytest.mark.parametrize(
        "spec", [f"{n}({r.example})" for n, r in table.items()], ids=list(table)
    )


def same(a, b, **tolerance):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b)):
        np.testing.assert_allclose(x, y, **({"rtol": 1e-5, "atol": 1e-6} | tolerance))


@pytest.mark.parametrize("tree", TREES.values(), ids=TREES)
@specs(RULES)
class TestRules:
    def test_removes_the_clients_axis(self, spec, tree, deltas):
        out = apply(spec, tree(deltas), jnp.ones(C))
        assert jax.tree.map(jnp.shape, out) == jax.tree.map(lambda x: x.shape[1:], tree(deltas))
        assert all(x.dtype == jnp.float32 for x in jax.tree.leaves(out))

    def test_agrees_when_clients_agree(self, spec, tree, deltas):
        name = spec.split("(")[0]
        everyone = jnp.broadcast_to(deltas[:1], deltas.shape)
        out = apply(
            spec, tree(everyone), jnp.arange(1.0, C + 1), metrics() | {"steps": jnp.full(C, 4.0)}
        )
        if name == "q_fedavg":  # with equal losses, q = 1 still changes the length of the step
            return
        expected = deltas[0]
        if name == "fedmgda_plus":
            expected = expected / jnp.linalg.norm(expected)
        if name == "centred_clipping":
            # one step of the radius, from the origin
            expected = expected / jnp.linalg.norm(expected)
        same(out, jax.tree.map(lambda x: x[0], tree(expected[None])), rtol=2e-6)

    @pytest.mark.parametrize("garbage", [jnp.nan, jnp.inf, 1e30])
    def test_absent_clients_do_not_exist(self, spec, tree, deltas, garbage):
        here = jnp.asarray([0, 2, 3, 4, 5, 6, 8])
        weights = jnp.asarray([3.0, 0.0, 1.0, 4.0, 2.0, 2.0, 1.0, 0.0, 2.0])
        gone, reports = jnp.asarray([1, 7]), metrics()
        dirty = deltas.at[gone].set(garbage)
        wrong = {name: m.at[gone].set(garbage) for name, m in reports.items()}
        out = apply(spec, tree(dirty), weights, wrong)
        small = spec.replace("clients=9", "clients=7")
        right = {name: m[here] for name, m in reports.items()}
        expected = apply(small, tree(deltas[here]), weights[here], right)
        if "agnostic" in spec:  # lambda starts at 1 / clients; the absent keep theirs
            expected = out
        assert all(jnp.isfinite(x).all() for x in jax.tree.leaves(out))
        same(out, expected)

    def test_does_not_depend_on_the_order_of_clients(self, spec, tree, deltas):
        order = jnp.asarray([4, 2, 0, 1, 3, 8, 6, 7, 5])
        weights = jnp.arange(1.0, C + 1)
        reports = {name: m[order] for name, m in metrics().items()}
        shuffled = apply(spec, tree(deltas[order]), weights[order], reports)
        same(apply(spec, tree(deltas), weights), shuffled, rtol=1e-6, atol=1e-7)

    def test_compiles_once_for_every_pattern_of_dropout(self, spec, tree, deltas):
        for weights in (jnp.ones(C), jnp.ones(C).at[3].set(0.0), jnp.zeros(C)):
            out = apply(spec, tree(deltas), weights)
            if weights.any():
                assert all(jnp.isfinite(x).all() for x in jax.tree.leaves(out))
        assert TRACED[spec][outline(tree(deltas))] == 1

    def test_works_behind_a_link_that_changes_the_cohort(self, spec, tree, deltas):
        if "clients=" in spec or "fltrust" in spec:
            pytest.skip("has a memory per client, or needs to know one of them")
        table = {n: r.make for n, r in (RULES | LINKS).items()}
        both = jitted(chain(call("bucketing(1)", table), call(spec, table)))
        weights = jnp.arange(1.0, C + 1)
        same(both(tree(deltas), weights, metrics()), apply(spec, tree(deltas), weights))


@specs(RULES)
def test_a_rule_below_its_bound_says_so(spec, deltas):
    """Too few clients present: NaN, which the server takes as: skip this round."""
    bound = {"n > 2f": 2, "n ≥ 2f+3": 4, "n ≥ 4f+3": 6}.get(RULES[spec.split("(")[0]].needs)
    if bound is None:
        return
    weights = jnp.where(jnp.arange(C) < bound, 1.0, 0.0)
    assert not jnp.isfinite(apply(spec, deltas, weights)).any()
    assert jnp.isfinite(apply(spec, deltas, weights.at[bound].set(1.0))).all()


LINK_SPECS = {f"{n}({r.example})": n for n, r in LINKS.items()} | {
    f"{n}({a})": n for n, a in ATTACK_SPECS.items()
}


@pytest.mark.parametrize("tree", TREES.values(), ids=TREES)
@pytest.mark.parametrize("spec", LINK_SPECS)
class TestLinks:
    def test_keeps_the_clients_axis(self, spec, tree, deltas):
        cohort = apply(spec, tree(deltas), jnp.ones(C))
        assert isinstance(cohort, Kept)
        clients = -(-C // 2) if "bucketing" in spec else C
        assert all(x.shape[0] == clients for x in jax.tree.leaves(cohort))

    def test_absent_clients_stay_absent_and_are_not_read(self, spec, tree, deltas):
        if LINK_SPECS[spec] in RANDOM:
            return
        gone = jnp.asarray([1, 7])
        here = jnp.asarray([0, 2, 3, 4, 5, 6, 8])
        weights = jnp.ones(C).at[gone].set(0.0)
        dirty = apply(spec, tree(deltas.at[gone].set(jnp.nan)), weights)
        alone = apply(spec, tree(deltas[here]), jnp.ones(7))
        for a, b in zip(jax.tree.leaves(dirty.updates), jax.tree.leaves(alone.updates)):
            np.testing.assert_allclose(a[here], b, rtol=1e-6)
        assert (dirty.changed["weights"][gone] == 0).all()

    def test_does_not_depend_on_the_order_of_clients(self, spec, tree, deltas):
        if LINK_SPECS[spec] in RANDOM or spec.split("(")[0] in ATTACKS:
            return
        order = jnp.asarray([4, 2, 0, 1, 3, 8, 6, 7, 5])
        one = apply(spec, tree(deltas), jnp.ones(C))
        other = apply(spec, tree(deltas[order]), jnp.ones(C))
        for a, b in zip(jax.tree.leaves(one.updates), jax.tree.leaves(other.updates)):
            np.testing.assert_allclose(a[order], b, rtol=1e-6)

    def test_compiles_once(self, spec, tree, deltas):
        for weights in (jnp.ones(C), jnp.ones(C).at[3].set(0.0), jnp.zeros(C)):
            apply(spec, tree(deltas), weights)
        assert TRACED[spec][outline(tree(deltas))] == 1


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
    pooled = BESIDE["pooled"].statistics(state, weights)["batch_stats"]["norm1"]
    union = np.concatenate(samples)
    np.testing.assert_allclose(pooled["mean"], union.mean(0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(pooled["var"], union.var(0), rtol=1e-5)
    plain = BESIDE["mean"].statistics(state, weights)["batch_stats"]["norm1"]
    # the mean of variances ignores the distance between sites
    assert (plain["var"] < pooled["var"]).all()


def test_mean_and_gram_keep_their_bits():
    """Another order of clients, another cut of the coordinates: not one bit changes."""
    p = 300_001
    x = jax.random.normal(jax.random.key(0), (C, p)) * jnp.exp(
        3 * jax.random.normal(jax.random.key(1), (1, p))
    )
    n = jnp.asarray([64, 3, 17, 9, 100, 5, 31, 8, 2], jnp.float32)
    order = jnp.asarray([4, 2, 0, 1, 3, 8, 6, 7, 5])
    rule, present = weighted_mean(), jnp.ones(C, bool)

    def mean(x, n):
        return rule.update(x, rule.init(x[0]), weights=n)[0]

    whole = np.asarray(mean(x, n))
    np.testing.assert_array_equal(whole, mean(x[order], n[order]))
    np.testing.assert_array_equal(whole, jax.jit(mean)(x, n))
    np.testing.assert_array_equal(
        whole, jnp.concatenate([mean(x[:, :100_007], n), mean(x[:, 100_007:], n)])
    )
    g = np.asarray(gram(x, present), np.float32)
    np.testing.assert_array_equal(
        g[order][:, order], np.asarray(gram(x[order], present), np.float32)
    )
