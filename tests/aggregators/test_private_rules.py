"""Private rules: closed forms of the noise, a whole round written anew in numpy, and clients that
are absent or send what is no number.
"""

import io
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fedbrain.aggregators.noise import with_seed
from fedbrain.aggregators.private_mean import dp_fedavg, dp_fedavg_adaptive, noise_of_sum
from fedbrain.aggregators.private_tree import dp_ftrl
from fedbrain.algorithms.quadratic import quadratic_task
from fedbrain.analysis.tree_privacy import nodes
from fedbrain.configs import study
from fedbrain.experiments.chosen_algorithm import read_algorithm
from fedbrain.types import Update

P = 20_000
RULES = {
    "dp_fedavg": dp_fedavg(8, 2.0, 3.0),
    "dp_fedavg_adaptive": dp_fedavg_adaptive(8, 3.0, 4.0, initial=2.0),
    "dp_ftrl": dp_ftrl(8, 2.0, 3.0),
}


def clipped(x, bound):
    """min(1, C / |x|) x of one client, in numpy."""
    length = np.linalg.norm(x.astype(np.float64))
    return x.astype(np.float64) * min(1.0, bound / length) if length else x.astype(np.float64)


@cache
def compiled(rule):
    """A round of a rule, compiled once for clients of one shape."""
    return jax.jit(lambda x, state, weights: rule.update(x, state, weights=weights))


def directions(rule, rounds, x, weights, state=None):
    """Of so many rounds with the same updates, and the state after them."""
    step = compiled(rule)
    state, made = rule.init(x[0]) if state is None else state, []
    for _ in range(rounds):
        one, state = step(jnp.asarray(x), state, jnp.asarray(weights))
        made.append(np.asarray(one))
    return np.stack(made), state


NOBODY = np.zeros((2, P), np.float32), np.zeros(2, np.float32)


def test_noise_of_dp_fedavg_has_its_deviation_and_is_new_in_every_round():
    noise, _ = directions(RULES["dp_fedavg"], 3, *NOBODY)
    assert noise.std(1) == pytest.approx(np.full(3, 3.0 * 2.0 / 8), rel=0.03)
    assert np.abs(np.corrcoef(noise) - np.eye(3)).max() < 0.03


@pytest.mark.parametrize("every", [16, 5, 1])
def test_sums_of_tree_noise_share_the_nodes_that_they_should(every):
    """The covariance of Z_t and Z_u is the number of nodes in both, for all t and u."""
    rounds = 11
    made, _ = directions(dp_ftrl(1, 1.0, 1.0, restart_every=every), rounds, *NOBODY)
    sums = np.cumsum(made.astype(np.float64), axis=0)
    known = list(nodes(rounds, every))
    in_sum = np.zeros((rounds, len(known)))
    for t in range(1, rounds + 1):
        at = t  # walks back from t along the largest node that ends there
        while at > 0:
            span = min((s for s in known if s[1] == at), key=lambda s: s[0])
            in_sum[t - 1, known.index(span)] = 1
            at = span[0] - 1
    expected = in_sum @ in_sum.T
    if every == 16:
        assert np.diag(expected).tolist() == [t.bit_count() for t in range(1, rounds + 1)]
    np.testing.assert_allclose(sums @ sums.T / P, expected, atol=0.12)


def test_the_variance_of_a_known_prefix():
    """s C sqrt(popcount 7) / m after seven rounds, s C / m after eight."""
    made, _ = directions(RULES["dp_ftrl"], 8, *NOBODY)
    sums = np.cumsum(made.astype(np.float64), axis=0)
    assert sums[6].std() == pytest.approx(3.0 * 2.0 / 8 * 3**0.5, rel=0.03)
    assert sums[7].std() == pytest.approx(3.0 * 2.0 / 8, rel=0.03)


@pytest.mark.parametrize("name", RULES)
def test_a_round_is_the_clipped_sum_over_a_fixed_number_plus_the_noise(name):
    """Of three who are there, with sizes that must not matter, and one absent with garbage."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(4, 6)).astype(np.float32) * np.array([[0.1], [9.0], [1.0], [1.0]])
    x = x.astype(np.float32)
    x[3] = np.nan
    weights = np.array([1.0, 700.0, 3.0, 0.0], np.float32)
    made, _ = directions(RULES[name], 1, x, weights)
    noise, _ = directions(RULES[name], 1, np.zeros((4, 6), np.float32), np.zeros(4, np.float32))
    expected = sum(clipped(row, 2.0) for row in x[:3]) / 8
    np.testing.assert_allclose(made[0] - noise[0], expected, rtol=1e-4, atol=1e-6)
    assert np.abs(noise).min() > 0


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("length", [1e-3, 1.0, 1e30])
def test_a_client_moves_the_sum_by_its_bound_at_most(name, length):
    rng = np.random.default_rng(2)
    x = rng.normal(size=(3, 5)).astype(np.float32)
    x[2] *= np.float32(length / np.linalg.norm(x[2]))
    here, gone = (directions(RULES[name], 1, x, np.array([1, 1, w], np.float32)) for w in (9, 0))
    moved = np.linalg.norm((here[0] - gone[0]).astype(np.float64)) * 8
    assert moved == pytest.approx(min(length, 2.0), rel=1e-3, abs=1e-5)


def test_the_norm_follows_the_quantile_as_published():
    """Against the recursion in numpy, with an absent client that is no vote: b - 1/2 of it is 0."""
    rng = np.random.default_rng(3)
    x = (rng.normal(size=(5, 4)) * np.array([[0.2], [1], [2], [4], [1]])).astype(np.float32)
    weights = np.array([1, 1, 1, 1, 0], np.float32)
    rule = dp_fedavg_adaptive(6, 0.0, 0.0, quantile=0.3, learning_rate=0.5, initial=1.0)
    state, bound = None, 1.0
    for _ in range(6):
        made, state = directions(rule, 1, x, weights, state)
        expected = sum(clipped(row, bound) for row in x[:4]) / 6
        np.testing.assert_allclose(made[0], expected, rtol=1e-5)
        votes = sum((np.linalg.norm(row) <= bound) - 0.5 for row in x[:4])
        bound *= np.exp(-0.5 * (0.5 + votes / 6 - 0.3))
        assert float(state.clip_norm) == pytest.approx(bound, rel=1e-5)


def test_sum_and_count_have_noise_that_adds_up_to_the_multiplier():
    z, count = 3.0, 4.0
    both = noise_of_sum(z, count)
    assert both**-2 + (2 * count) ** -2 == pytest.approx(z**-2, rel=1e-12)
    made, _ = directions(RULES["dp_fedavg_adaptive"], 1, *NOBODY)
    assert made[0].std() == pytest.approx(both * 2.0 / 8, rel=0.03)
    rule, bounds = dp_fedavg_adaptive(8, z, count, initial=2.0, quantile=0.5), [2.0]
    small, state = (np.zeros((1, 1), np.float32), np.zeros(1, np.float32)), None
    for _ in range(400):
        _, state = directions(rule, 1, *small, state)
        bounds.append(float(state.clip_norm))
    shares = -np.diff(np.log(bounds)) / 0.2
    assert shares.std() == pytest.approx(count / 8, rel=0.12)  # three standard errors
    assert abs(shares.mean()) < 3 * count / 8 / 400**0.5


def test_a_count_that_spends_everything_is_refused():
    with pytest.raises(ValueError, match=r"^Expected count_noise=1.5 > noise_multiplier / 2 = 1.5"):
        dp_fedavg_adaptive(8, noise_multiplier=3.0, count_noise=1.5)


@pytest.mark.parametrize("name", RULES)
def test_a_stored_state_goes_on_with_the_same_bits(name):
    rng = np.random.default_rng(4)
    x, weights = rng.normal(size=(3, 7)).astype(np.float32), np.ones(3, np.float32)
    whole, _ = directions(RULES[name], 7, x, weights)
    _, state = directions(RULES[name], 3, x, weights)
    leaves, structure = jax.tree.flatten(state)
    file = io.BytesIO()
    np.savez(file, *[np.asarray(leaf) for leaf in leaves])
    file.seek(0)
    stored = np.load(file)
    again = jax.tree.unflatten(structure, [jnp.asarray(stored[k]) for k in stored.files])
    rest, _ = directions(RULES[name], 4, x, weights, again)
    np.testing.assert_array_equal(rest, whole[3:])


def test_runs_of_other_seeds_have_other_noise_also_side_by_side():
    rule, (x, weights) = RULES["dp_ftrl"], (np.zeros((2, 50), np.float32), np.zeros(2, np.float32))

    def first(seed):
        state = with_seed(rule.init(jnp.zeros(50)), seed)
        return rule.update(jnp.asarray(x), state, weights=jnp.asarray(weights))[0]

    both = np.asarray(jax.vmap(first)(jnp.arange(2)))
    np.testing.assert_array_equal(both[1], first(jnp.asarray(1)))
    assert np.abs(both[0] - both[1]).min() > 0


def configured(rule):
    config = study.get_config()
    config.server.aggregator = rule
    return read_algorithm(config, quadratic_task())


def after_a_round(deltas, weights):
    """The parameter of the quadratic model, and whether the round was skipped."""
    algorithm = configured("dp_fedavg(expected=4, clip_norm=1.0, noise_multiplier=0.5)")
    state = algorithm.init({"params": {"w": jnp.zeros(1)}}, jnp.ones(len(weights)))
    sent = Update(jnp.asarray(deltas), {}, jnp.asarray(weights), {}, ())
    state, info = algorithm.apply(state, algorithm.reduce(state, sent))
    return float(state.params["w"][0]), float(info["skipped"])


def test_of_the_server_too_a_client_that_is_no_number_is_zero_and_a_round_of_nobody_is_noise():
    """That a round was skipped would tell that the only client in it sent something else."""
    alone, skipped = after_a_round([[0.0], [0.0]], [0.0, 0.0])
    assert alone
    assert not skipped
    for garbage in (np.nan, np.inf, -np.inf):
        only, skipped = after_a_round([[garbage], [0.0]], [5.0, 0.0])
        assert only == alone
        assert not skipped
        both, _ = after_a_round([[garbage], [0.25]], [5.0, 9.0])
        assert both - alone == pytest.approx(0.25 / 4, rel=1e-5)
