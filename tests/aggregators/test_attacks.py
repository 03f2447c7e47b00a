"""Attackers do what their papers say, in the last rows of those present."""

from statistics import NormalDist

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fedbrain.aggregators import AGGREGATORS, KEEPING
from fedbrain.aggregators.attacks import ATTACKS, EVERY
from fedbrain.aggregators.attacks.searching import facing
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


def apart(x, m, name):
    """Whether what attackers send is too far from the honest, for either attack."""
    pairs = ((x[:, None] - x[None]) ** 2).sum(-1)
    to = ((x - m) ** 2).sum(1)
    if name == "min_max":
        return to.max() > pairs.max()
    return to.sum() > pairs.sum(1).max()


@pytest.mark.parametrize("name", ["min_max", "min_sum"])
def test_as_far_as_the_honest_are_from_one_another_and_no_farther(name):
    """The closed form against the bisection of the paper, with two attackers and one absent."""
    for seed in range(40):
        x = np.random.default_rng(seed).standard_t(3, (7, 5)).astype(np.float32)
        weights = np.asarray([1, 1, 0, 1, 1, 1, 1], np.float32)
        sent = attack(f"{name}(2)", x, weights)[0][-1]
        honest = x[[0, 1, 3, 4]].astype(np.float64)
        mean, spread = honest.mean(0), honest.std(0, ddof=1)
        low, high = 0.0, 100.0
        for _ in range(100):
            middle = 0.5 * (low + high)
            bad = apart(honest, mean - middle * spread, name)
            low, high = (low, middle) if bad else (middle, high)
        np.testing.assert_allclose(sent, mean - low * spread, rtol=1e-4, atol=1e-4)
        assert low > 0.1


def byzfl_search(harm, evaluations):
    """Line search by exploration, written anew: double while it grows, then steps of .8 about."""
    best, most, step, left = 0.0, harm(0.0), 1.0, evaluations - 1
    last = 0.0
    while left:
        last, left = best + step, left - 1
        value = harm(last)
        if not value > most:
            step *= 0.8
            break
        best, most, step = last, value, 2 * step
    while left:
        if last < best:
            last += step
        else:
            x = last - step
            while x < 0:
                x = (x + last) / 2
            last = x
        value, left = harm(last), left - 1
        if value > most:
            best, most = last, value
        step *= 0.8
    return best


@pytest.mark.parametrize("name", ["optimised_alie", "optimised_ipm"])
@pytest.mark.parametrize(
    ("rule", "oracle"),
    [
        ("median()", lambda x: np.median(x, 0)),
        ("trimmed_mean(2)", lambda x: np.sort(x, 0)[2:-2].mean(0)),
        ("uniform_mean()", lambda x: x.mean(0)),
    ],
)
def test_an_attacker_that_knows_the_rule_searches_its_factor(name, rule, oracle):
    """200 random cohorts for every rule: two attackers, an absent client with garbage."""
    worst, factors = 0.0, []
    with jax.enable_x64(True):
        both = call(f"{name}(2)", EVERY).against(call(rule, AGGREGATORS))
        run = jax.jit(lambda x, n: both.update(x, both.init(x[0]), None, weights=n)[0])
        for seed in range(200):
            rng = np.random.default_rng(seed)
            x = rng.standard_t(3, (9, 5)) + 1
            weights = np.ones(9)
            weights[rng.integers(0, 7)] = 0
            dirty = np.where(weights[:, None] > 0, x, np.nan)
            honest = x[:7][weights[:7] > 0]
            mean, spread = honest.mean(0), honest.std(0, ddof=1)
            start, along = (mean, -spread) if name == "optimised_alie" else (0 * mean, -mean)

            def attacked(factor, honest=honest, start=start, along=along):
                return oracle(np.concatenate([honest, [start + factor * along] * 2]))

            best = byzfl_search(lambda g, mean=mean: np.linalg.norm(attacked(g) - mean), 16)
            ours = np.asarray(run(jnp.asarray(dirty), jnp.asarray(weights)))
            worst = max(worst, np.abs(ours - attacked(best)).max() / max(1, abs(best)))
            factors.append(best)
    print(f"{name} before {rule}: worst error {worst:.1e}, median factor {np.median(factors):.2f}")
    assert worst < 1e-9
    assert np.median(factors) > 0.5


def test_a_searching_attack_keeps_the_memory_of_what_stands_behind_it():
    """Links before it, a rule with a centre behind it: one step of the centre a round, not 16."""
    attack = call("optimised_ipm(1)", EVERY)
    links = [call("clip_by_client_norm(5.0)", KEEPING), attack]
    both = facing(links, call("centred_clipping(radius=1.0)", AGGREGATORS))
    x = jnp.asarray(X[:4])
    state, rule = both.init(x[0]), call("centred_clipping(radius=1.0)", AGGREGATORS)
    one, (_, after) = both.update(x, state, None, weights=jnp.ones(4), metrics={})
    np.testing.assert_allclose(after[0].centre, one, atol=1e-6)
    assert np.linalg.norm(one) < 1
    honest = rule.update(x, rule.init(x[0]), None, weights=jnp.ones(4))[0]
    mean = x[:3].mean(0)
    assert np.linalg.norm(one - mean) > np.linalg.norm(honest - mean)


def test_a_rule_that_is_not_defined_stays_so_under_a_searching_attack():
    both = call("optimised_alie(1)", EVERY).against(call("krum(1)", AGGREGATORS))
    x = jnp.asarray(X[:4])  # krum needs five
    assert not jnp.isfinite(both.update(x, both.init(x[0]), None, weights=jnp.ones(4))[0]).any()


def test_attackers_of_honest_clients_that_agree_agree_too():
    x = np.ones((4, 5), np.float32)
    for name in ("min_max", "min_sum"):
        np.testing.assert_array_equal(attack(f"{name}(1)", x, np.ones(4, np.float32))[0], x)


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
    [
        "sign_flip(-1)",
        "drop_out(1.0)",
        "a_little_is_enough(3, clients=5)",
        "gaussian(1, -1.0)",
        "optimised_alie(1, evaluations=1)",
    ],
)
def test_impossible_attacks_are_refused(spec):
    with pytest.raises(ValueError, match="Expected"):
        call(spec, EVERY)
