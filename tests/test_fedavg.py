"""FedAvg and FedProx against closed forms, and the exchange filters."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from fedbrain.aggregators import weighted_mean
from fedbrain.algorithms import EXCHANGES
from fedbrain.algorithms.exchange import path_name, without_statistics
from fedbrain.algorithms.fedavg import drift
from fedbrain.optimizers import add_proximal_term
from fedbrain.round import Client, loop, make_round
from fedbrain.types import Task
from tests import tiny

N, D, K, H = 5, 10, 10, 0.05


def _quadratics():
    """Clients F_i(w) = 1/2 (w - b_i)^T A_i (w - b_i) with eigenvalues in [.5, 4]."""
    rng = np.random.default_rng(7)
    bases = [np.linalg.qr(rng.normal(size=(D, D)))[0] for _ in range(N)]
    return [((q * rng.uniform(0.5, 4, D)) @ q.T, rng.normal(0, 2, D)) for q in bases]


def _task():
    def loss(params, model_state, batch, key):
        e = params["w"] - batch["b"][0]
        value = 0.5 * e @ batch["A"][0] @ e
        return value, (model_state, {"loss": value, "count": batch["mask"].sum()})

    return Task(lambda key, image: {"params": {"w": jnp.zeros(D)}}, loss, lambda *a: (a[0], a[0]))


def _fixed_point(client_links, rounds=400):
    with jax.enable_x64(True):
        algorithm = tiny.algorithm(_task(), optax.chain(*client_links, optax.sgd(H)))
        run_round = make_round(algorithm, loop())
        variables = {"params": {"w": jnp.zeros(D)}}
        state = algorithm.init(variables)
        batch = [{"A": a[None], "b": b[None], "mask": np.ones(1)} for a, b in _quadratics()]
        for _ in range(rounds):
            cohort = [
                Client(f"c{i}", 1, algorithm.init_client(variables), jax.random.key(i), [batch[i]] * K) for i in range(N)
            ]
            state, _, _ = run_round(state, cohort, batch[0])
        return np.asarray(state.params["w"])


def test_fedavg_reaches_its_fixed_point_on_quadratics():
    """sum_i [I - (I - h A_i)^K] (w - b_i) = 0: not the optimum, and exactly this."""
    q = _quadratics()
    m = [np.eye(D) - np.linalg.matrix_power(np.eye(D) - H * a, K) for a, _ in q]
    expected = np.linalg.solve(sum(m), sum(mi @ b for mi, (_, b) in zip(m, q)))
    optimum = np.linalg.solve(sum(a for a, _ in q), sum(a @ b for a, b in q))
    got = _fixed_point([])
    np.testing.assert_allclose(got, expected, atol=1e-12)
    assert np.linalg.norm(got - optimum) > 0.1


def test_fedprox_reaches_its_fixed_point_on_quadratics():
    """A step is y <- y - h [A (y - b) + mu (y - w)]; with P = I - h (A + mu I) the map is affine in w."""
    mu, q = 1.0, _quadratics()
    p = [np.eye(D) - H * (a + mu * np.eye(D)) for a, _ in q]
    s = [sum(np.linalg.matrix_power(pi, k) for k in range(K)) for pi in p]
    # y_K = P^K w + S h (A b + mu w); the mean of y_K - w vanishes
    left = sum(np.linalg.matrix_power(pi, K) + H * mu * si - np.eye(D) for pi, si in zip(p, s))
    right = -sum(H * si @ a @ b for si, (a, b) in zip(s, q))
    np.testing.assert_allclose(_fixed_point([add_proximal_term(mu)]), np.linalg.solve(left, right), atol=1e-12)


@pytest.mark.parametrize("name", EXCHANGES)
def test_only_the_exchanged_leaves_leave_and_the_rest_stays_with_the_client(name):
    exchange = EXCHANGES[name]()
    task = tiny.task()
    variables = tiny.variables(task)
    algorithm = tiny.algorithm(task, exchange=exchange)
    run_round = make_round(algorithm, loop())
    state, clients, _ = run_round(algorithm.init(variables), tiny.cohort(algorithm, variables), tiny.example())
    for path, before in jax.tree_util.tree_leaves_with_path(variables["params"]):
        after = dict((path_name(p), x) for p, x in jax.tree_util.tree_leaves_with_path(state.params))[path_name(path)]
        moved = not np.array_equal(before, after)
        if not exchange("params", path_name(path)):
            assert not moved, path_name(path)
            private = [c.params for c in clients]
            values = [
                dict((path_name(p), x) for p, x in jax.tree_util.tree_leaves_with_path(t))[path_name(path)] for t in private
            ]
            assert not np.array_equal(values[0], values[1])
    own = [algorithm.client_variables(state, c) for c in clients]
    assert all(jax.tree.structure(v) == jax.tree.structure(variables) for v in own)
    same = all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(own[0]), jax.tree.leaves(own[1])))
    assert same == (name == "everything")


def test_local_statistics_stay():
    task = tiny.task()
    variables = tiny.variables(task)
    algorithm = tiny.algorithm(task, exchange=without_statistics(EXCHANGES["everything"]()))
    state, clients, _ = make_round(algorithm, loop())(
        algorithm.init(variables), tiny.cohort(algorithm, variables), tiny.example()
    )
    assert jax.tree.leaves(clients[0].params) == []
    for a, b in zip(jax.tree.leaves(state.model_state), jax.tree.leaves(variables["batch_stats"])):
        np.testing.assert_array_equal(a, b)


def test_a_round_without_anybody_changes_nothing_but_its_number():
    task = tiny.task()
    variables = tiny.variables(task)
    server = optax.chain(weighted_mean(), optax.sgd(1.0, momentum=0.9))
    algorithm = tiny.algorithm(task, server=server)
    cohort = [c._replace(batches=()) for c in tiny.cohort(algorithm, variables)]
    before = algorithm.init(variables)
    after, _, info = make_round(algorithm, loop())(before, cohort, tiny.example())
    assert int(after.round) == 1
    assert float(info["steps"].sum()) == 0
    for a, b in zip(jax.tree.leaves(after._replace(round=0)), jax.tree.leaves(before._replace(round=0))):
        np.testing.assert_array_equal(a, b)


def test_drift_of_opposite_and_equal_clients():
    d = jnp.asarray([[3.0, 4.0], [3.0, 4.0], [jnp.nan, 1.0]])
    info = drift(d, jnp.asarray([1.0, 3.0, 0.0]))
    np.testing.assert_allclose(info["delta_norm"], [5, 5, 0])
    np.testing.assert_allclose(info["cosine"], [1, 1, 0], atol=1e-6)
    np.testing.assert_allclose(info["diversity"], 1, rtol=1e-6)
    assert float(drift(jnp.asarray([[1.0, 0.0], [0.0, 1.0]]), jnp.ones(2))["diversity"]) == pytest.approx(2)
