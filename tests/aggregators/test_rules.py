"""Every rule against its formula in numpy float64, on random cohorts with absent clients."""

from functools import cache
from itertools import combinations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fedbrain.aggregators import LINKS, RULES
from fedbrain.experiments.spec import call
from tests.aggregators.test_aggregators import information, metrics

TABLE = {n: r.make for n, r in (RULES | LINKS).items()}
C, P = 11, 17
COHORTS = range(12)


def cohort(seed):
    """A tight majority and a few outliers; two absent clients hold garbage."""
    rng = np.random.default_rng(seed)
    x = rng.normal(1, 0.5, (C, P))
    x[: rng.integers(0, 3)] += rng.normal(0, 3, P)
    n = rng.integers(1, 50, C).astype(float)
    gone = rng.choice(C, 2, replace=False)
    here = np.setdiff1d(np.arange(C), gone)
    dirty = x.copy()
    dirty[gone] = np.nan
    weights = n.copy()
    weights[gone] = 0
    return dirty, weights, x[here], n[here], here


@cache
def compiled(spec):
    link = call(spec, TABLE)
    return link.init, jax.jit(
        lambda x, state, weights, reports: link.update(
            x, state, None, weights=weights, metrics=reports, extra=information(x)
        )
    )


def ours(spec, dirty, weights, reports=None, state=None):
    with jax.enable_x64(True):
        init, update = compiled(spec)
        reports = reports or {k: v.astype(jnp.float64) for k, v in metrics(C).items()}
        state = init(jnp.zeros(P)) if state is None else state
        return update(jnp.asarray(dirty), state, jnp.asarray(weights, jnp.float64), reports)


def distances(x):
    return ((x[:, None] - x[None]) ** 2).sum(-1)


def krum_scores(x, f):
    d = np.sort(distances(x), axis=1)
    return d[:, 1 : len(x) - f - 1].sum(1)


def best_subset(x, f, cost):
    subsets = [list(s) for s in combinations(range(len(x)), len(x) - f)]
    return x[min(subsets, key=lambda s: cost(x[s]))].mean(0)


def bulyan(x, f):
    left, chosen = list(range(len(x))), []
    d = distances(x)
    for _ in range(len(x) - 2 * f):
        sub = d[np.ix_(left, left)]
        k = max(1, min(len(left) - f - 2, len(left) - 1))
        score = np.sort(sub, axis=1)[:, 1 : k + 1].sum(1)
        best = min(range(len(left)), key=lambda i: (score[i], sub[i].sum()))
        chosen.append(left.pop(best))
    y = x[chosen]
    nearest = np.argsort(np.abs(y - np.median(y, 0)), axis=0)[: len(x) - 4 * f]
    return np.take_along_axis(y, nearest, 0).mean(0)


def weiszfeld(x, iterations, nu):
    z = x.mean(0)
    for _ in range(iterations):
        b = 1 / np.maximum(np.linalg.norm(x - z, axis=1), nu)
        z = b @ x / b.sum()
    return z


def spectral(x, f):
    c, best, smallest = np.ones(len(x)), None, np.inf
    while c.sum() > len(x) - 2 * f:
        mu = c @ x / c.sum()
        d = x - mu
        _, s, vt = np.linalg.svd(np.sqrt(c / c.sum())[:, None] * d, full_matrices=False)
        if s[0] ** 2 < smallest:
            smallest, best = s[0] ** 2, mu
        tau = (d @ vt[0]) ** 2
        c = np.clip(c * (1 - tau / tau[c > 0].max()), 0, None)
    return best


def dersimonian_laird(x, n, variance):
    v = n / variance
    mean = v @ x / v.sum()
    q = (v * ((x - mean) ** 2).mean(1)).sum()
    t2 = max(0, (q - (len(n) - 1)) / (v.sum() - (v**2).sum() / v.sum()))
    w = 1 / (variance / n + t2)
    return w @ x / w.sum()


ORACLES = {
    "weighted_mean()": lambda x, n: n @ x / n.sum(),
    "masked_mean()": lambda x, n: np.rint(n[:, None] * x * 2**28).sum(0) / 2**28 / n.sum(),
    "uniform_mean()": lambda x, n: x.mean(0),
    "sqrt_mean()": lambda x, n: np.sqrt(n) @ x / np.sqrt(n).sum(),
    "median()": lambda x, n: np.median(x, 0),
    "trimmed_mean(2)": lambda x, n: np.sort(x, 0)[2:-2].mean(0),
    "mean_around_median(2)": (
        lambda x, n: np.take_along_axis(
            x, np.argsort(np.abs(x - np.median(x, 0)), axis=0)[: len(x) - 2], 0
        ).mean(0)
    ),
    "krum(2)": lambda x, n: x[krum_scores(x, 2).argmin()],
    "multi_krum(2)": lambda x, n: x[np.argsort(krum_scores(x, 2))[: len(x) - 2]].mean(0),
    "bulyan(1)": lambda x, n: bulyan(x, 1),
    "geometric_median(5, 0.1)": lambda x, n: weiszfeld(x, 5, 0.1),
    "minimum_diameter(2)": lambda x, n: best_subset(
        x, 2, lambda s: (distances(s).max(), distances(s).sum())
    ),
    "smallest_eigenvalue(2)": lambda x, n: best_subset(
        x, 2, lambda s: np.linalg.svd(s - s.mean(0))[1][0]
    ),
    "spectral_filter(2)": lambda x, n: spectral(x, 2),
    "inverse_variance(4.0)": lambda x, n: dersimonian_laird(x, n, 4.0),
    "fisher_mean()": lambda x, n: (information(x) * x).sum(0) / information(x).sum(0),
    "fedexp()": lambda x, n: (
        max(1, (n @ (x**2).sum(1)) / n.sum() / (2 * (((n @ x / n.sum()) ** 2).sum() + 1e-3)))
        * (n @ x / n.sum())
    ),
}


@pytest.mark.parametrize("spec", ORACLES)
def test_rule_is_its_formula(spec):
    for seed in COHORTS:
        dirty, weights, x, n, _ = cohort(seed)
        np.testing.assert_allclose(
            ours(spec, dirty, weights)[0], ORACLES[spec](x, n), rtol=1e-10, atol=1e-12
        )


def test_fisher_mean_asks_for_what_clients_upload():
    rule = call("fisher_mean()", TABLE)
    with pytest.raises(ValueError, match="report_fisher"):
        rule.update(jnp.ones((2, P)), rule.init(jnp.zeros(P)), weights=jnp.ones(2), extra=())


def test_gradient_masked_mean_is_its_formula():
    for seed in COHORTS:
        dirty, weights, x, n, _ = cohort(seed)
        p = n / n.sum()
        agreement = np.abs(p @ np.sign(x))
        expected = p @ x * np.where(agreement >= 0.7, 1, agreement)
        np.testing.assert_allclose(
            ours("gradient_masked_mean(0.7)", dirty, weights)[0], expected, rtol=1e-10
        )


def test_rules_with_reports_are_their_formulas():
    for seed in COHORTS:
        dirty, weights, x, n, here = cohort(seed)
        reports = {k: np.asarray(v, float)[here] for k, v in metrics(C).items()}
        p, cost = n / n.sum(), reports["loss"] / reports["count"]
        a = (1 / cost) / (1 / cost).sum()
        np.testing.assert_allclose(ours("inverse_loss()", dirty, weights)[0], a @ x, rtol=1e-9)
        np.testing.assert_allclose(
            ours("fednova()", dirty, weights)[0],
            (p @ reports["steps"]) * ((p / reports["steps"]) @ x),
            rtol=1e-9,
        )
        q, lip, loss = 2.0, 10.0, reports["global_loss"]
        h = q * loss ** (q - 1) * ((lip * x) ** 2).sum(1) + lip * loss**q
        expected = (loss**q * lip) @ x / h.sum()
        np.testing.assert_allclose(
            ours("q_fedavg(2.0, 0.1)", dirty, weights)[0], expected, rtol=1e-9
        )
        mean = ours(f"fedcostwavg({C})", dirty, weights)[0]  # without a history every k is 1
        np.testing.assert_allclose(mean, (0.5 * p + 0.5 / len(n)) @ x, rtol=1e-9)


def test_feddisco_is_its_formula():
    for seed in COHORTS:
        dirty, weights, x, n, here = cohort(seed)
        d = np.random.default_rng(seed).uniform(0, 0.9, C)
        a = np.maximum(n / n.sum() - 0.5 * d[here] + 0.1, 0)
        a = a if a.any() else n
        direction = ours("feddisco()", dirty, weights, {"discrepancy": d})[0]
        np.testing.assert_allclose(direction, (a / a.sum()) @ x, rtol=1e-9)
        nobody = ours("feddisco(a=9.0)", dirty, weights, {"discrepancy": np.full(C, 0.9)})[0]
        np.testing.assert_allclose(nobody, n @ x / n.sum(), rtol=1e-9)


def test_generalization_adjustment_moves_weight_to_where_the_gap_is():
    rng, shares, state = np.random.default_rng(1), np.full(C, 1 / C), None
    for r in range(4):
        dirty, weights, x, _, here = cohort(r)
        gap = rng.normal(0.5, 1, C)
        direction, state = ours(
            f"generalization_adjustment({C}, rounds=5, step=2.0)",
            dirty,
            weights,
            {"gap": gap},
            state,
        )
        shares[here] += 2.0 * (1 - r / 5) / C * gap[here] / np.abs(gap[here]).max()
        shares = np.maximum(shares, 0) / np.maximum(shares, 0).sum()
        expected = shares[here] / shares[here].sum() @ x
        np.testing.assert_allclose(direction, expected, rtol=1e-5, atol=1e-6)
    assert shares.min() == 0  # the step is long enough that somebody's weight ends at 0
    np.testing.assert_allclose(state.shares, shares, atol=1e-6)


def test_fedce_weighs_by_what_is_lost_without_a_client():
    """200 random cohorts, 20 runs of ten rounds, each without two clients and with their garbage;
    leave one out by loops.
    """
    worst = 0.0
    for run in range(20):
        rng, state = np.random.default_rng([3, run]), None
        shares, apart, losses = np.full(C, 1 / C), [[] for _ in range(C)], [[] for _ in range(C)]
        for r in range(10):
            dirty, weights, x, _, here = cohort(100 * run + r)
            loss = rng.uniform(0, 3, C)
            loss[np.setdiff1d(np.arange(C), here)] = rng.choice([np.nan, np.inf, -1e30])
            direction, state = ours(f"fedce({C})", dirty, weights, {"left_out_loss": loss}, state)
            c = shares[here] / shares[here].sum()
            for k, i in enumerate(here):
                others = sum(c[j] * x[j] for j in range(len(here)) if j != k)
                cosine = x[k] @ others / np.linalg.norm(x[k]) / np.linalg.norm(others)
                apart[i].append(1 - cosine)
                losses[i].append(loss[i])
            g, e = (np.array([np.mean(means[i]) for i in here]) for means in (apart, losses))
            a = np.maximum(g / g.sum(), 1e-3) * np.maximum(e / e.sum(), 1e-3)
            shares[here] = a / a.sum()
            worst = max(worst, np.abs(np.asarray(direction) - shares[here] @ x).max())
    print(f"FedCE: worst error {worst:.1e}")
    assert worst < 2e-6  # the memory is in float32


def test_layers_of_a_model_are_clipped_one_by_one():
    rng = np.random.default_rng(0)
    model = {
        "conv": {"bias": rng.normal(size=(C, 2)), "kernel": rng.normal(size=(C, 3, 2))},
        "head": {"kernel": 9 * rng.normal(size=(C, 4)), "private": None},
    }
    link = call("clip_by_layer_norm(3.0)", TABLE)
    params = jax.tree.map(lambda x: jnp.zeros(x.shape[1:]), model)
    with jax.enable_x64(True):
        cohort = jax.tree.map(jnp.asarray, model)
        clipped = link.update(cohort, link.init(params), weights=jnp.ones(C))[0].updates
    for name, bound in (("conv", 3 / 2**0.5), ("head", 3 / 2**0.5)):
        flat = [np.reshape(x, (C, -1)) for x in jax.tree.leaves(model[name])]
        norms = np.linalg.norm(np.concatenate(flat, 1), axis=1)
        factor = np.minimum(1, bound / norms)
        for ours_, x in zip(jax.tree.leaves(clipped[name]), flat):
            np.testing.assert_allclose(np.reshape(ours_, (C, -1)), factor[:, None] * x, rtol=1e-6)


def test_cost_weighted_rules_remember():
    dirty, weights, x, n, here = cohort(0)
    p = n / n.sum()
    state = None
    costs = np.random.default_rng(1).uniform(0.5, 2, (3, C))
    for t in range(3):
        reports = {"loss": jnp.asarray(costs[t]), "count": jnp.ones(C)}
        direction, state = ours(f"fedcostwavg({C})", dirty, weights, reports, state)
    k = (costs[1] / costs[2])[here]
    np.testing.assert_allclose(direction, (0.5 * p + 0.5 * k / k.sum()) @ x, rtol=1e-5)


def test_agnostic_climbs_towards_the_worst_client():
    dirty, weights, x, _, here = cohort(0)
    loss, mixture, state = np.random.default_rng(1).uniform(0, 3, C), np.full(C, 1 / C), None
    for _ in range(3):
        direction, state = ours(
            f"agnostic({C}, 0.02)", dirty, weights, {"global_loss": jnp.asarray(loss)}, state
        )
        expected = mixture[here] / mixture[here].sum() @ x  # the model steps by the mixture before
        np.testing.assert_allclose(direction, expected, rtol=1e-5)
        v = mixture.copy()
        v[here] += 0.02 * loss[here]
        u = np.sort(v)[::-1]  # projection on the simplex by sorting (Held, Wolfe and Crowder 1974)
        rho = np.nonzero(u * np.arange(1, C + 1) > np.cumsum(u) - 1)[0][-1]
        mixture = np.maximum(v - (np.cumsum(u)[rho] - 1) / (rho + 1), 0)
    np.testing.assert_allclose(state.mixture, mixture, atol=1e-6)


def test_fltrust_is_its_formula():
    for seed in COHORTS:
        x = cohort(seed)[2]
        reports = {"trusted": jnp.zeros(len(x)).at[2].set(1.0)}
        norms, root = np.linalg.norm(x, axis=1), x[2]
        score = np.maximum(x @ root / norms / norms[2], 0)
        score[2] = 0
        expected = (score * norms[2] / norms) @ x / score.sum()
        np.testing.assert_allclose(
            ours("fltrust()", x, np.ones(len(x)), reports)[0], expected, rtol=1e-10
        )


def test_fedmgda_plus_satisfies_the_optimality_conditions():
    """At the minimum in the box, moving weight between free coordinates gains nothing."""
    for seed in COHORTS:
        dirty, weights, x, n, _ = cohort(seed)
        unit = x / np.linalg.norm(x, axis=1, keepdims=True)
        direction = np.asarray(ours("fedmgda_plus(0.1, 2000)", dirty, weights)[0])
        p, slope = n / n.sum(), unit @ direction
        mixture = np.linalg.lstsq(unit.T, direction, rcond=None)[0]
        free = (mixture > np.maximum(p - 0.1, 0) + 1e-6) & (mixture < p + 0.1 - 1e-6)
        assert free.sum() < 2 or np.ptp(slope[free]) < 1e-5
        assert abs(mixture.sum() - 1) < 1e-8


def test_centred_clipping_remembers_its_centre():
    dirty, weights, x, _, _ = cohort(3)
    v, state = np.zeros(P), None
    for _ in range(4):
        direction, state = ours("centred_clipping(2.0, 2)", dirty, weights, None, state)
        for _ in range(2):
            d = x - v
            v = v + (d * np.minimum(1, 2.0 / np.linalg.norm(d, axis=1))[:, None]).mean(0)
        np.testing.assert_allclose(direction, v, rtol=1e-9)


def test_divide_and_conquer_leaves_out_who_pushes_together():
    x = np.random.default_rng(0).normal(0, 0.1, (C, P))
    x[-2:] += 5
    np.testing.assert_allclose(
        ours("divide_and_conquer(2)", x, np.ones(C))[0], x[:-2].mean(0), rtol=1e-10
    )


def test_divide_and_conquer_looks_at_no_coordinate_twice():
    """With as many coordinates as there are, every one counts once: the exact singular vector."""
    x = np.random.default_rng(1).normal(size=(C, P))
    centred = x - x.mean(0)
    along = (centred @ np.linalg.svd(centred)[2][0]) ** 2
    expected = x[np.argsort(along)[:-1]].mean(0)
    direction = ours(f"divide_and_conquer(1, coordinates={P}, iterations=1)", x, np.ones(C))[0]
    np.testing.assert_allclose(direction, expected, rtol=1e-9)


@pytest.mark.parametrize("away", [10.0, 1e6, 1e30])
def test_geometric_median_iterates_until_it_stands(away):
    """12 of 25 attackers: the sum of unit vectors to the clients is zero at the minimum."""
    x = np.random.default_rng(0).normal(size=(25, 50))
    x[:12] += away
    z = np.asarray(ours("geometric_median()", x, np.ones(25))[0])
    units = (x - z) / np.linalg.norm(x - z, axis=1, keepdims=True)
    assert np.linalg.norm(units.sum(0)) < 1e-6


@pytest.mark.parametrize("rule", ["fednova()", "q_fedavg(1.0, 0.1)", "inverse_loss()"])
def test_a_rule_sees_alike_clients_and_their_buckets_alike(rule):
    x = np.broadcast_to(np.random.default_rng(0).normal(size=P), (8, P))
    reports = {name: jnp.full(8, 6.0) for name in ("steps", "global_loss", "loss", "count")}
    alone = ours(rule, x, np.ones(8), reports)[0]
    link = ours("bucketing(2)", x, np.ones(8), reports)[0]
    changed = dict(link.changed)
    bucketed = ours(rule, link.updates, changed["weights"], changed["metrics"])[0]
    np.testing.assert_allclose(bucketed, alone, rtol=1e-6)


def test_flame_is_hdbscan():
    """The closed form of a majority cluster, against scikit-learn."""
    cluster = pytest.importorskip("sklearn.cluster")
    from fedbrain.aggregators.flame import majority_cluster

    for seed in range(40):
        rng = np.random.default_rng(seed)
        x = rng.normal(0, 1, (C, 3)) + rng.normal(0, 3, (1, 3))
        d = distances(x)
        model = cluster.HDBSCAN(
            min_cluster_size=C // 2 + 1,
            min_samples=1,
            metric="precomputed",
            allow_single_cluster=True,
            copy=True,
        )
        expected = model.fit(d).labels_ >= 0
        np.testing.assert_array_equal(majority_cluster(jnp.asarray(d), jnp.ones(C, bool)), expected)


def test_adaptive_clipping_converges_to_the_quantile():
    """Flower 1.41 has the opposite sign and runs away."""
    norms = np.linspace(0.5, 1.4, C)
    x, state = np.eye(C, P) * norms[:, None], None
    for _ in range(200):
        _, state = ours("clip_by_quantile_norm(0.5, 0.2, 0.1)", x, np.ones(C), None, state)
    assert norms[4] <= float(state.clip_norm) <= norms[6]


def test_clipping_mixing_and_bucketing_are_their_formulas():
    for seed in COHORTS:
        dirty, weights, x, _, here = cohort(seed)
        norms = np.linalg.norm(x, axis=1)

        def clipped(spec, dirty=dirty, weights=weights, here=here):
            return np.asarray(ours(spec, dirty, weights)[0].updates)[here]

        np.testing.assert_allclose(
            clipped("clip_by_client_norm(3.0)"), x * np.minimum(1, 3 / norms)[:, None], rtol=1e-10
        )
        bound = np.median(norms)
        np.testing.assert_allclose(
            clipped("clip_by_median_norm()"), x * np.minimum(1, bound / norms)[:, None], rtol=1e-10
        )
        bound = np.sort(norms)[len(x) - (2 * 2 * (len(x) - 2)) // len(x) - 1]
        np.testing.assert_allclose(
            clipped("adaptive_robust_clipping(2)"),
            x * np.minimum(1, bound / norms)[:, None],
            rtol=1e-10,
        )
        near = np.argsort(distances(x), axis=1)[:, : len(x) - 2]
        np.testing.assert_allclose(
            clipped("nearest_neighbour_mixing(2)"), x[near].mean(1), rtol=1e-10
        )
        buckets = ours("bucketing(2)", dirty, weights)[0]
        sizes = np.asarray(buckets.changed["weights"])
        np.testing.assert_allclose(sizes.sum(), weights.sum(), rtol=1e-6)
        assert (sizes > 0).sum() == -(-len(x) // 2)
        means = np.asarray(buckets.updates)[sizes > 0]
        pairs = np.full(len(means), 2.0)
        pairs[-1] -= len(x) % 2
        np.testing.assert_allclose(pairs @ means, x.sum(0), rtol=1e-9)
