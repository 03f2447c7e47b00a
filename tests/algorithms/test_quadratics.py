"""Algorithms against closed forms on quadratic clients.

    F_i(w) = 1/2 (w - b_i)^T A_i (w - b_i),   K full-gradient local steps of size h

FedAvg and FedProx have other fixed points than the optimum; SCAFFOLD, FedDyn and Mime reach it,
also when clients drop out.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from fedbrain.aggregators import RULES, uniform_mean, weighted_mean
from fedbrain.algorithms import VARIANTS
from fedbrain.algorithms.optimizers import add_proximal_term
from fedbrain.algorithms.variant import Variant
from fedbrain.training.in_memory import Clients, Plan, models
from fedbrain.training.simulate import simulate
from fedbrain.types import Task
from tests import tiny

N, D, K, H = 5, 10, 10, 0.05


def quadratics(low=0.5, high=4.0):
    """[(A_i, b_i)] with eigenvalues in [low, high]."""
    rng = np.random.default_rng(7)
    bases = [np.linalg.qr(rng.normal(size=(D, D)))[0] for _ in range(N)]
    return [((q * rng.uniform(low, high, D)) @ q.T, rng.normal(0, 2, D)) for q in bases]


def optimum(clients, weights=None):
    weights = np.ones(N) if weights is None else weights
    a = sum(w * a for w, (a, _) in zip(weights, clients))
    return np.linalg.solve(a, sum(w * a @ b for w, (a, b) in zip(weights, clients)))


def task():
    def loss(params, model_state, batch, key):
        a, b = batch["image"][0, :D], batch["image"][0, D]
        e = params["w"] - b
        value = 0.5 * e @ a @ e
        count = batch["mask"].sum()
        return value, (model_state, {"loss": value * count, "count": count})

    return Task(lambda key, image: {"params": {"w": jnp.zeros(D)}}, loss, lambda *a: (a[0], a[0]))


def train(
    *,
    rounds=400,
    links=(),
    variant=None,
    h=H,
    steps=(K,) * N,
    absent=0,
    examples=(1,) * N,
    clients=None,
    **more,
):
    """(global model, client models) after rounds in which `absent` random clients do not come."""
    with jax.enable_x64(True):
        more = {"aggregator": weighted_mean(), "variant": variant or Variant()} | more
        algorithm = tiny.algorithm(task(), optax.chain(*links, optax.sgd(h)), **more)
        a, b = (jnp.asarray(np.stack(x)) for x in zip(*(clients or quadratics())))
        # a client with n_i examples has n_i real rows, which all hold its A and b
        n = max(examples)
        image = jnp.broadcast_to(jnp.concatenate([a, b[:, None]], 1)[:, None], (N, n, D + 1, D))
        mask = (jnp.arange(n)[None] < jnp.asarray(examples)[:, None]).astype(jnp.float64)
        data = Clients(image, mask, mask)
        plan = Plan(rounds, n, np.asarray(steps), N - absent, 0.0, rounds)
        variables = {"params": {"w": jnp.zeros(D)}}
        run = jax.jit(
            lambda key: simulate(algorithm, variables, data, plan, key, evaluate=lambda *state: ())
        )
        out = run(jax.random.key(0))
        own = models(algorithm, out.server, out.clients, N)["params"]["w"]
        return np.asarray(out.server.params["w"]), np.asarray(own)


def fedavg_fixed_point(h=H, steps=(K,) * N):
    """sum_i [I - (I - h A_i)^K_i] (w - b_i) = 0."""
    q = quadratics()
    m = [np.eye(D) - np.linalg.matrix_power(np.eye(D) - h * a, k) for (a, _), k in zip(q, steps)]
    return np.linalg.solve(sum(m), sum(mi @ b for mi, (_, b) in zip(m, q)))


def distance(w, clients=None, weights=None):
    return np.linalg.norm(w - optimum(clients or quadratics(), weights))


def test_fedavg_reaches_its_fixed_point():
    """Not the optimum, and exactly this."""
    w, _ = train()
    np.testing.assert_allclose(w, fedavg_fixed_point(), atol=1e-12)
    assert distance(w) > 0.1


def test_fedprox_reaches_its_fixed_point():
    """A step is y <- y - h [A (y - b) + mu (y - w)]: affine in w, with P = I - h (A + mu I)."""
    mu, q = 1.0, quadratics()
    p = [np.eye(D) - H * (a + mu * np.eye(D)) for a, _ in q]
    s = [sum(np.linalg.matrix_power(pi, k) for k in range(K)) for pi in p]
    # y_K = P^K w + S h (A b + mu w); the mean of y_K - w vanishes
    left = sum(np.linalg.matrix_power(pi, K) + H * mu * si - np.eye(D) for pi, si in zip(p, s))
    right = -sum(H * si @ a @ b for si, (a, b) in zip(s, q))
    np.testing.assert_allclose(
        train(links=[add_proximal_term(mu)])[0], np.linalg.solve(left, right), atol=1e-12
    )


@pytest.mark.parametrize("absent", [0, 2])
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("scaffold", {}),
        ("feddyn", {"alpha": 1.0}),
        ("feddc", {"alpha": 1.0}),
        ("fedadmm", {"penalty": 1.0}),
    ],
    ids=lambda x: str(x),
)
def test_drift_correction_reaches_the_optimum(name, arguments, absent):
    w, _ = train(variant=VARIANTS[name](**arguments), absent=absent, rounds=800)
    assert distance(w) < 1e-12


def test_scaffold_corrects_clients_with_adam_as_far_as_its_steps_allow():
    """Where corrected gradients are 0 every optimiser rests; Adam's steps of .01 end 2.6 of them
    away, where FedAvg with them is 256 away. So SCAFFOLD is not refused beside Adam.
    """
    adam = {"links": [optax.scale_by_adam()], "h": 0.01, "rounds": 500}
    assert distance(train(variant=VARIANTS["scaffold"](), **adam)[0]) < 0.05
    assert distance(train(**adam)[0]) > 2


@pytest.mark.parametrize("name", ["scaffold", "feddyn", "fedadmm"])
def test_unequal_hospitals_reach_the_optimum_of_all_their_examples(name):
    """Weights by examples: the optimum of sum n_i F_i, with somebody absent every round."""
    n = (30, 5, 12, 1, 7)
    w, _ = train(variant=VARIANTS[name](), examples=n, absent=1, rounds=1500)
    assert distance(w, weights=n) < 1e-10


def test_fedacg_is_its_recursion_and_rests_where_fedprox_does():
    """m <- lambda m + D and w <- w + m: w is the mean of the y_i, from a look-ahead."""
    momentum, penalty, q = 0.6, 0.3, quadratics()
    w, m = np.zeros(D), np.zeros(D)
    for _ in range(7):
        ahead, ends = w + momentum * m, []
        for a, b in q:
            y = ahead.copy()
            for _ in range(K):
                y = y - H * (a @ (y - b) + penalty * (y - ahead))
            ends.append(y)
        m = momentum * m + np.mean(ends, 0) - ahead
        w = w + m
        np.testing.assert_allclose(w, np.mean(ends, 0), atol=1e-12)
    variant = VARIANTS["fedacg"](momentum, penalty)
    np.testing.assert_allclose(train(variant=variant, rounds=7)[0], w, atol=1e-12)
    at_rest, _ = train(links=[add_proximal_term(penalty)], rounds=1500)
    np.testing.assert_allclose(train(variant=variant, rounds=1500)[0], at_rest, atol=1e-10)


def test_fedacg_without_momentum_and_penalty_is_fedavg():
    w, _ = train(variant=VARIANTS["fedacg"](0.0, 0.0), rounds=3)
    np.testing.assert_allclose(w, train(rounds=3)[0], atol=1e-14)


def test_fedsam_follows_the_gradient_at_the_worst_point_near_by():
    rho, q, w = 0.2, quadratics(), np.zeros(D)
    for _ in range(4):
        ends = []
        for a, b in q:
            y = w.copy()
            for _ in range(K):
                g = a @ (y - b)
                y = y - H * a @ (y + rho * g / np.linalg.norm(g) - b)
            ends.append(y)
        w = np.mean(ends, 0)
    np.testing.assert_allclose(train(variant=VARIANTS["fedsam"](rho), rounds=4)[0], w, atol=1e-6)


@pytest.mark.parametrize("absent", [0, 2])
def test_fedlesam_climbs_back_along_the_way_of_the_global_model(absent):
    """From where each client last received it, with everybody or three of five."""
    rho, rounds, q = 0.3, 5, quadratics()
    key, w, seen = jax.random.key(0), np.zeros(D), [np.zeros(D)] * N
    for r in range(rounds):
        drawn = jax.random.permutation(jax.random.fold_in(jax.random.fold_in(key, r), 0), N)
        ends = []
        for i in drawn[: N - absent].tolist():
            (a, b), back, y = q[i], seen[i] - w, w.copy()
            e = rho * back / max(np.linalg.norm(back), 1e-12)
            for _ in range(K):
                y = y - H * a @ (y + e - b)
            ends.append(y)
            seen[i] = w
        w = np.mean(ends, 0)
    variant = VARIANTS["fedlesam"](rho)
    ours, _ = train(variant=variant, rounds=rounds, absent=absent)
    np.testing.assert_allclose(ours, w, atol=1e-6)  # lengths are float32
    assert np.linalg.norm(w - train(rounds=rounds, absent=absent)[0]) > 0.01


@pytest.mark.parametrize("absent", [0, 2])
def test_the_gap_is_that_of_the_global_model_and_the_clients_last_one(absent):
    """Through the rule that reads it, against numpy, with everybody or three of five."""
    rounds, step, q = 6, 0.5, quadratics()
    rule = RULES["generalization_adjustment"].make(N, rounds, step)
    variant = VARIANTS["report_gap"]()
    w, _ = train(aggregator=rule, variant=variant, rounds=rounds, absent=absent)
    key, root = jax.random.key(0), np.zeros(D)
    own, shares = [root] * N, np.full(N, 1 / N)

    def loss(i, v):
        return 0.5 * (v - q[i][1]) @ q[i][0] @ (v - q[i][1])

    for r in range(rounds):
        drawn = jax.random.permutation(jax.random.fold_in(jax.random.fold_in(key, r), 0), N)
        here = sorted(drawn[: N - absent].tolist())
        gap = np.array([loss(i, root) - loss(i, own[i]) if i in here else 0 for i in range(N)])
        largest = np.abs(gap).max() or 1
        shares = np.maximum(shares + step * (1 - r / rounds) / N * gap / largest, 0)
        shares /= shares.sum()
        for i in here:
            a, b = q[i]
            own[i] = b + np.linalg.matrix_power(np.eye(D) - H * a, K) @ (root - b)
        root = sum(shares[i] * own[i] for i in here) / sum(shares[i] for i in here)
    np.testing.assert_allclose(w, root, atol=1e-5)  # shares are kept in float32


@pytest.mark.parametrize("absent", [0, 2])
def test_the_left_out_loss_is_that_of_the_last_model_without_the_client(absent):
    """Through FedCE, which reads it, against numpy, with everybody or three of five."""
    rounds, q = 6, quadratics()
    rule, variant = RULES["fedce"].make(N), VARIANTS["report_left_out_loss"]()
    w, _ = train(aggregator=rule, variant=variant, rounds=rounds, absent=absent)
    key, root, own, last = jax.random.key(0), np.zeros(D), [np.zeros(D)] * N, []
    shares, seen = np.full(N, 1 / N), [[] for _ in range(N)]
    for r in range(rounds):
        drawn = jax.random.permutation(jax.random.fold_in(jax.random.fold_in(key, r), 0), N)
        here, ends, loss = sorted(drawn[: N - absent].tolist()), {}, {}
        for i in here:
            (a, b), c = q[i], shares[i] if i in last else 0.0
            e = (root - c * own[i]) / (1 - c) - b
            loss[i] = 0.5 * e @ a @ e
            ends[i] = b + np.linalg.matrix_power(np.eye(D) - H * a, K) @ (root - b)
        c = shares[here] / shares[here].sum()
        for k, i in enumerate(here):
            x = ends[i] - root
            d = sum(c[n] * (ends[j] - root) for n, j in enumerate(here) if n != k)
            seen[i].append((1 - x @ d / np.linalg.norm(x) / np.linalg.norm(d), loss[i]))
        means = np.array([np.mean(seen[i], 0) for i in here])
        parts = np.maximum(means / means.sum(0), 1e-3).prod(1)
        shares[here] = parts / parts.sum()
        root = sum(shares[i] * ends[i] for i in here)
        own, last = [ends.get(i, own[i]) for i in range(N)], here
    np.testing.assert_allclose(w, root, atol=1e-5)  # shares are kept in float32


def test_mime_reaches_the_optimum_in_two_trips_a_round():
    assert distance(train(variant=VARIANTS["mime"](beta=0.5), rounds=1200)[0]) < 1e-10


def test_mimelite_without_momentum_is_fedavg():
    np.testing.assert_allclose(
        train(variant=VARIANTS["mimelite"](beta=0.0))[0], fedavg_fixed_point(), atol=1e-12
    )


def test_fednova_corrects_unequal_local_steps():
    """FedAvg minimises a sum weighted by steps; FedNova the true one, up to the drift of steps."""
    steps, h = (1, 3, 5, 10, 20), 5e-4
    plain, _ = train(h=h, steps=steps, rounds=6000)
    np.testing.assert_allclose(plain, fedavg_fixed_point(h, steps), atol=1e-9)
    nova, _ = train(h=h, steps=steps, rounds=6000, aggregator=RULES["fednova"].make())
    assert distance(nova) < 0.03 < 1 < distance(plain)


def test_ditto_reaches_its_fixed_point():
    """(A_i + lambda I) v_i = A_i b_i + lambda w."""
    penalty = 0.7
    w, own = train(variant=VARIANTS["ditto"](penalty))
    for v, (a, b) in zip(own, quadratics()):
        np.testing.assert_allclose(
            v, np.linalg.solve(a + penalty * np.eye(D), a @ b + penalty * w), atol=1e-10
        )
    # the global model is FedAvg's
    np.testing.assert_allclose(w, fedavg_fixed_point(), atol=1e-12)


def test_pfedme_reaches_its_fixed_point():
    """theta = (A + l I)^-1 (A b + l y) up to the inner steps; y_i moves by -h l (y - theta)."""
    penalty, inner = 3.0, 60
    w, _ = train(variant=VARIANTS["pfedme"](penalty, inner, 0.1), h=0.02)
    q = quadratics()
    # the Moreau envelope is a quadratic with matrix l (I - (A + l I)^-1 l) = l (A + l I)^-1 A
    envelopes = [(penalty * np.linalg.solve(a + penalty * np.eye(D), a), b) for a, b in q]
    m = [np.eye(D) - np.linalg.matrix_power(np.eye(D) - 0.02 * a, K) for a, _ in envelopes]
    expected = np.linalg.solve(sum(m), sum(mi @ b for mi, (_, b) in zip(m, envelopes)))
    np.testing.assert_allclose(w, expected, atol=1e-8)


def test_apfl_personal_models_are_better_at_home():
    w, own = train(variant=VARIANTS["apfl"](0.5, 0.0))
    for v, (a, b) in zip(own, quadratics()):
        assert (v - b) @ a @ (v - b) < (w - b) @ a @ (w - b)


def test_fine_tuned_is_the_local_model_after_a_round():
    w, own = train(variant=VARIANTS["fine_tuned"]())
    for v, (a, b) in zip(own, quadratics()):
        np.testing.assert_allclose(
            v - b, np.linalg.matrix_power(np.eye(D) - H * a, K) @ (w - b), atol=1e-10
        )


def test_fisher_of_equal_clients_is_the_mean():
    same = [quadratics()[0]] * N
    rule, variant = RULES["fisher_mean"].make(), VARIANTS["report_fisher"]()
    w, _ = train(aggregator=rule, variant=variant, clients=same, rounds=100)
    assert distance(w, same) < 1e-6


def test_report_of_the_global_loss_changes_nothing_else():
    plain, _ = train(rounds=3, aggregator=uniform_mean())
    variant = VARIANTS["report_global_loss"]()
    reporting, _ = train(rounds=3, aggregator=uniform_mean(), variant=variant)
    np.testing.assert_array_equal(plain, reporting)


def test_q_fedavg_with_q_zero_is_the_uniform_mean():
    rule = RULES["q_fedavg"].make(0.0, H)
    w, _ = train(
        rounds=5,
        aggregator=rule,
        variant=VARIANTS["report_global_loss"](),
        examples=(1, 2, 3, 4, 5),
    )
    expected, _ = train(rounds=5, aggregator=uniform_mean())
    np.testing.assert_allclose(w, expected, atol=1e-12)
