"""Rules against oracles written anew from their papers, on 200 random cohorts each.

A cohort has 3 to 30 clients present, among rows of absent ones that hold garbage in updates and
reports, and 2 to 200 coordinates. Under a rule that survives wrong clients, one who is present
sends 1e30 in half of the cohorts. The oracles know vectors in float64, and neither Gram matrices
nor masks; they see those who are present alone.

The largest error of each rule is below the bound of its row in `RULES`, which stands in
docs/aggregation.md; `pytest tests/aggregators/test_oracles.py -rP` prints the errors.
"""

import re
from collections.abc import Callable
from functools import cache
from itertools import combinations
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize

from fedbrain.aggregators import RULES
from fedbrain.experiments.spec import call

TABLE = {name: row.make for name, row in RULES.items()}
COHORTS, ROUNDS = 200, 10
# (rows, coordinates, f, fewest and most clients present): a program is compiled for each
SHAPES = ((6, 2, 1, 3, 6), (12, 40, 2, 5, 12), (31, 200, 4, 9, 30))
GARBAGE = (np.nan, np.inf, -np.inf, 1e30, -1e30)


class Drawn(NamedTuple):
    """A cohort as the rule sees it, and who is present."""

    x: np.ndarray  # [rows, p]; garbage in absent rows
    weights: np.ndarray  # [rows]; 0 = absent
    reports: dict[str, np.ndarray]  # [rows] each; garbage in absent rows
    here: np.ndarray  # rows of those who are present


def draw(seed, shape, *, far=0.0):
    """A majority that agrees more or less, and in odd cohorts one client that is so far away."""
    rows, p, f, fewest, most = shape
    rng = np.random.default_rng([seed, rows])
    here = np.sort(rng.permutation(rows)[: rng.integers(fewest, most + 1)])
    gone = np.setdiff1d(np.arange(rows), here)
    x = rng.normal(0, 1, p) + rng.uniform(0.1, 2) * rng.normal(0, 1, (rows, p))
    x[here[: rng.integers(0, f + 1)]] += rng.normal(0, 5, p)
    reports = {
        "loss": rng.uniform(1, 90, rows),
        "count": rng.integers(1, 60, rows).astype(float),
        "global_loss": rng.uniform(0.01, 3, rows),
        "discrepancy": rng.uniform(0, 1.2, rows),
        "gap": rng.normal(0.3, 1, rows),
    }
    if far and seed % 2:
        x[rng.choice(here[1:])] = far * rng.choice([-1, 1], p)
    for values in (x, *reports.values()):
        values[gone] = rng.choice(GARBAGE)
    reports["trusted"] = (np.arange(rows) == here[0]).astype(float)  # never the far one
    weights = np.where(np.isin(np.arange(rows), here), rng.integers(1, 400, rows), 0)
    return Drawn(x, weights.astype(float), reports, here)


@cache
def compiled(spec):
    rule = call(spec, TABLE)
    return rule.init, jax.jit(
        lambda x, state, weights, reports: rule.update(
            x, state, None, weights=weights, metrics=reports
        )
    )


def ours(spec, drawn, state=None):
    with jax.enable_x64(True):
        init, update = compiled(spec)
        state = init(jnp.zeros(drawn.x.shape[1])) if state is None else state
        direction, state = update(drawn.x, state, drawn.weights, drawn.reports)
        return np.asarray(direction), state


def error(direction, expected, scale=0.0):
    """The largest, in units of `scale`, or of the largest number of what is expected."""
    assert direction.dtype == expected.dtype == np.float64
    return np.abs(direction - expected).max() / (scale or np.abs(expected).max())


def q_fedavg(x, n, told, f):
    """w <- w - sum Delta_k / sum h_k, with q = 2 and L = 5."""
    del n, f
    q, lipschitz, top, bottom = 2.0, 5.0, 0.0, 0.0
    for update, loss in zip(x, told["global_loss"]):
        moved = lipschitz * update  # L (w - w_k)
        top = top + loss**q * moved
        bottom += q * loss ** (q - 1) * (moved @ moved) + lipschitz * loss**q
    return top / bottom


def feddisco(x, n, told, f):
    """p_k = relu(n_k / sum n - a d_k + b) / sum."""
    del f
    shares = [max(0.0, size / sum(n) - 0.5 * d + 0.1) for size, d in zip(n, told["discrepancy"])]
    shares = shares if sum(shares) else n
    return sum(a * update for a, update in zip(shares, x)) / sum(shares)


def regsimagg(x, n, told, f):
    """w_c = (u_c + v_c) / sum, with u_c = s_c / sum s, s_c = sum_j d_j / (d_c + 1e-5)."""
    del told, f
    d = [np.abs(update - x.mean(0)).sum() for update in x]
    s = [sum(d) / (own + 1e-5) for own in d]
    w = [own / sum(s) + size / sum(n) for own, size in zip(s, n)]
    return sum(a / sum(w) * update for a, update in zip(w, x))


def covariance_filter(x, n, told, f):
    """CAF: weights c shrink by 1 - tau / max tau until sum c <= n - 2f; the tightest mean."""
    del n, told
    c, found = np.ones(len(x)), []
    while c.sum() > len(x) - 2 * f:
        mean = np.average(x, axis=0, weights=c)
        _, s, v = np.linalg.svd((x - mean) * np.sqrt(c / c.sum())[:, None])
        found.append((s[0], mean))
        tau = ((x - mean) @ v[0]) ** 2
        farthest = np.argmax(np.where(c > 0, tau, -1))
        c = c * (1 - tau / tau[farthest])
        c[farthest] = 0
        c = np.maximum(c, 0)
    return min(found, key=lambda pair: pair[0])[1]


def smallest_eigenvalue(x, n, told, f):
    """SMEA: of all n - f clients those whose covariance has the smallest largest eigenvalue."""
    del n, told
    groups = [x[list(chosen)] for chosen in combinations(range(len(x)), len(x) - f)]
    return min(groups, key=lambda g: np.linalg.norm(g - g.mean(0), 2)).mean(0)


def fltrust(x, n, told, f):
    """Normalised to the server's length, weighed by relu of the cosine; NaN: nobody is trusted."""
    del n, f
    root = x[told["trusted"] == 1][0]
    scores, scaled = [], []
    for update in x[told["trusted"] == 0]:
        length = np.linalg.norm(update)
        scores.append(max(0.0, (root / np.linalg.norm(root)) @ (update / length)))
        scaled.append(update / length * np.linalg.norm(root))
    if not sum(scores):
        return np.full(x.shape[1], np.nan)
    return sum(s * update for s, update in zip(scores, scaled)) / sum(scores)


def flame(x, n, told, f):
    """The first single-linkage component of cosine distance with a majority, clipped, averaged."""
    del n, told, f
    lengths = np.linalg.norm(x, axis=1)
    unit = x / lengths[:, None]
    pairs = sorted(
        (1 - unit[i] @ unit[j], i, j) for i, j in combinations(range(len(x)), 2)
    )  # Kruskal: the shortest edges first
    groups = [{i} for i in range(len(x))]
    for _, i, j in pairs:
        one, other = (next(g for g in groups if k in g) for k in (i, j))
        if one is not other:
            groups.remove(other)
            one |= other
        if len(one) > len(x) // 2:
            break
    admitted = sorted(max(groups, key=len))
    clipped = x * np.minimum(1, np.median(lengths) / lengths)[:, None]
    return clipped[admitted].mean(0)


def fedmgda_plus(x, n, told, f):
    """The quadratic programme by sequential least squares."""
    del told, f
    unit, p = x / np.linalg.norm(x, axis=1)[:, None], n / n.sum()
    found = optimize.minimize(
        lambda a: 0.5 * ((a @ unit) ** 2).sum(),
        p,
        jac=lambda a: unit @ (a @ unit),
        bounds=[(max(0, share - 0.1), min(1, share + 0.1)) for share in p],
        constraints={"type": "eq", "fun": lambda a: a.sum() - 1, "jac": np.ones_like},
        method="SLSQP",
        options={"ftol": 1e-16, "maxiter": 1000},
    )
    return found.x @ unit


def geometric_median(x, n, told, f):
    """Newton's method with halved steps, from beside the best client; or that client itself."""
    del n, told, f

    def gain(z, before):
        """sum ||x - before|| - ||x - z||, without the difference of two long lengths."""
        d = np.linalg.norm(x - before, axis=1) + np.linalg.norm(x - z, axis=1)
        with np.errstate(invalid="ignore"):  # 0 / 0 is the client itself against itself
            return np.nansum(((z - before) * (2 * x - z - before)).sum(1) / d)

    best = max(x, key=lambda z: gain(z, x[0]))
    others = x[(x != best).any(1)]
    length = np.linalg.norm(others - best, axis=1)
    pull = ((others - best) / length[:, None]).sum(0)
    if np.linalg.norm(pull) <= len(x) - len(others):
        return best  # the pull of all others is no longer than its own weight

    uphill, step = length.min() * pull / np.linalg.norm(pull), 1.0
    while gain(best + step * uphill, best) <= 0:
        step /= 2
    z = best + step * uphill
    for _ in range(100):
        d = np.linalg.norm(x - z, axis=1)
        unit = (x - z) / d[:, None]
        curve = (1 / d).sum() * np.eye(len(z)) - (unit.T / d) @ unit
        newton, step = np.linalg.solve(curve, unit.sum(0)), 1.0
        while step > 1e-9 and not gain(z + step * newton, z) > 0:
            step /= 2
        if step <= 1e-9 or np.linalg.norm(newton) < 1e-14 * np.linalg.norm(z):
            return z
        z = z + step * newton
    raise AssertionError("Newton's method did not end.")


def divide_and_conquer(x, n, told, f):
    """The mean of those who are not among the f farthest; every coordinate is looked at."""
    del n, told
    centred = x - x.mean(0)
    along = (centred @ np.linalg.svd(centred, full_matrices=False)[2][0]) ** 2
    return x[np.argsort(along, kind="stable")[: len(x) - f]].mean(0)


class Oracle(NamedTuple):
    """What a rule without a memory is compared with."""

    formula: Callable[..., Any]  # (x, n, reports, f) of those present -> direction
    arguments: str = ""  # of the rule
    largest: int = 31  # rows; to try all subsets costs more
    far: float = 1e30  # what a wrong client sends, where the rule survives one
    scale: float = 0.0  # of errors; 0: the largest number of what is expected


ORACLES = {
    "q_fedavg": Oracle(q_fedavg, "q=2.0, learning_rate=0.2"),
    "feddisco": Oracle(feddisco),
    "regsimagg": Oracle(regsimagg),
    "spectral_filter": Oracle(covariance_filter, "num_byzantine={f}"),
    "smallest_eigenvalue": Oracle(smallest_eigenvalue, "num_byzantine={f}", 12),
    "fltrust": Oracle(fltrust),
    "flame": Oracle(flame, "noise=0.0"),
    "fedmgda_plus": Oracle(fedmgda_plus, scale=1.0),  # a mean of unit vectors, which may be 0
    "geometric_median": Oracle(geometric_median),
    # beside 1e30 it is below the rounding of float64 who is second farthest
    "divide_and_conquer": Oracle(divide_and_conquer, "num_byzantine={f}, iterations=2", far=1e3),
}


def bound(rule):
    """Of the error, as the row of the rule has it."""
    found = re.search(r"200 cohorts: (\S+)$", RULES[rule].check)
    assert found, f"{rule}: no error in {RULES[rule].check!r}"
    return float(found[1])


@pytest.mark.parametrize("rule", ORACLES)
def test_a_rule_is_its_paper_on_200_cohorts(rule):
    oracle, row, errors = ORACLES[rule], RULES[rule], []
    shapes = [shape for shape in SHAPES if shape[0] <= oracle.largest]
    for seed in range(COHORTS):
        shape = shapes[seed % len(shapes)]
        drawn = draw(seed, shape, far=oracle.far if row.breakdown != "0" else 0.0)
        told = {name: values[drawn.here] for name, values in drawn.reports.items()}
        f = shape[2]
        expected = oracle.formula(drawn.x[drawn.here], drawn.weights[drawn.here], told, f)
        direction, _ = ours(f"{rule}({oracle.arguments.format(f=f)})", drawn)
        if np.isnan(expected).all():
            assert np.isnan(direction).all()
            continue
        errors.append(error(direction, expected, oracle.scale))
    print(f"{rule}: the largest error of {len(errors)} cohorts is {max(errors):.1e}")
    assert len(errors) > 0.9 * COHORTS
    assert max(errors) < bound(rule)


def costwavg_shares(n, before, new):
    """alpha s_j / S + (1 - alpha) k_j / K with k_j = last cost / cost."""
    k = [(past or [cost])[-1] / cost for past, cost in zip(before, new)]
    return 0.3 * n / sum(n) + 0.7 * np.array(k) / sum(k)


def pidavg_shares(n, before, new):
    """alpha s_j / S + beta k_j / K + gamma m_j / M: k_j the fall, m_j the sum of six costs."""
    k = [max(0.0, (past or [cost])[-1] - cost) for past, cost in zip(before, new)]
    m = [sum([*past, cost][-6:]) for past, cost in zip(before, new)]
    w = 0.5 * n / sum(n) + 0.2 * np.array(m) / sum(m)
    return (w + 0.3 * np.array(k) / sum(k)) if sum(k) else w / sum(w)


@pytest.mark.parametrize(
    ("rule", "arguments", "shares"),
    [
        ("fedcostwavg", "alpha=0.3", costwavg_shares),
        ("fedpidavg", "alpha=0.5, beta=0.3, gamma=0.2", pidavg_shares),
    ],
)
def test_what_clients_cost_before_is_remembered(rule, arguments, shares):
    """20 runs of ten rounds: who is absent keeps the memory, and garbage does not enter it."""
    errors = []
    for run in range(COHORTS // ROUNDS):
        shape = SHAPES[run % len(SHAPES)]
        costs, state = [[] for _ in range(shape[0])], None
        for r in range(ROUNDS):
            drawn = draw(1000 * run + r, shape)
            x, n = drawn.x[drawn.here], drawn.weights[drawn.here]
            new = drawn.reports["loss"][drawn.here] / drawn.reports["count"][drawn.here]
            a = shares(n, [costs[i] for i in drawn.here], new)
            for i, cost in zip(drawn.here, new):
                costs[i].append(cost)
            spec = f"{rule}(clients={shape[0]}, {arguments})"
            direction, state = ours(spec, drawn, state)
            errors.append(error(direction, sum(one * update for one, update in zip(a, x))))
    print(f"{rule}: the largest error of {len(errors)} cohorts is {max(errors):.1e}")
    assert max(errors) < bound(rule)


def test_generalization_adjustment_remembers_shares():
    """a_j + d (1 - r / R) / n gap_j / max |gap|, cut at 0, over its sum; 20 runs of ten rounds."""
    errors = []
    for run in range(COHORTS // ROUNDS):
        shape = SHAPES[run % len(SHAPES)]
        rows, state = shape[0], None
        shares = [1 / rows] * rows
        for r in range(ROUNDS):
            drawn = draw(1000 * run + r, shape)
            gaps = {i: drawn.reports["gap"][i] for i in drawn.here}
            largest = max(map(abs, gaps.values()))
            for i, gap in gaps.items():
                shares[i] = max(0.0, shares[i] + 0.8 * (1 - r / 12) / rows * gap / largest)
            shares = [a / sum(shares) for a in shares]
            present = sum(shares[i] for i in gaps)
            expected = sum(shares[i] / present * drawn.x[i] for i in gaps)
            spec = f"generalization_adjustment(clients={rows}, rounds=12, step=0.8)"
            direction, state = ours(spec, drawn, state)
            errors.append(error(direction, expected))
    print(f"generalization_adjustment: the largest error of {len(errors)} is {max(errors):.1e}")
    assert max(errors) < bound("generalization_adjustment")


def test_the_noise_of_flame_is_normal_and_new_in_every_round():
    """Its scale is lambda times the median length, so that 200 cohorts are one sample."""
    before, noise, products = None, [], []
    for seed in range(COHORTS):
        shape = SHAPES[-1]
        drawn = draw(seed, shape)
        x = drawn.x[drawn.here]
        unclear = 0.01 * np.median(np.linalg.norm(x, axis=1))
        state = None if before is None else before[1]
        direction, state = ours("flame(noise=0.01)", drawn, state)
        z = (direction - flame(x, None, None, None)) / unclear
        noise.append(z)
        if before is not None:
            products.append(z @ before[0])
        before = z, state
    z = np.concatenate(noise)
    assert abs(z.mean()) < 4 / z.size**0.5
    assert abs(z.std() - 1) < 4 / (2 * z.size) ** 0.5
    assert abs(np.sum(products)) < 4 * z.size**0.5
    assert abs(np.mean(z**4) - 3) < 4 * (96 / z.size) ** 0.5
