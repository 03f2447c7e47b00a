"""A server with examples of its own: FedDF and FedLAW against numpy, and in a study."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from fedbrain.aggregators.attacks import EVERY
from fedbrain.aggregators.attacks.beside import lied_to
from fedbrain.aggregators.cohort import chain
from fedbrain.aggregators.mean import uniform_mean
from fedbrain.aggregators.statistics import mean_statistics
from fedbrain.algorithms import ClientChain, ServerChain, federated
from fedbrain.algorithms.arriving import arriving
from fedbrain.algorithms.server_data import REFINES, refining
from fedbrain.experiments.spec import call
from fedbrain.experiments.study import cells, draw_problems
from fedbrain.experiments.study_cell import run_cell
from fedbrain.models.losses import cross_entropy, l2
from fedbrain.models.tabular import linear
from fedbrain.models.task import make_task
from fedbrain.types import Update
from tests import tiny
from tests.experiments.test_study import small

C, B, F, K, STEPS, RATE = 6, 7, 4, 3, 9, 0.05


def cohort(seed, outputs):
    """Local models as columns [clients, F + 1, outputs]; one client absent, one with garbage."""
    rng = np.random.default_rng(seed)
    w = rng.normal(size=(F + 1, outputs))
    deltas = rng.normal(0, 0.5, (C, F + 1, outputs))
    n = rng.integers(1, 30, C).astype(float)
    gone, wrong = rng.choice(C, 2, replace=False)
    n[gone] = 0
    dirty = deltas.copy()
    dirty[gone], dirty[wrong] = np.nan, np.inf
    here = np.setdiff1d(np.arange(C), [gone, wrong])
    x = np.concatenate([np.ones((B, 1)), rng.normal(size=(B, F))], 1)
    target = rng.integers(0, K, B) if outputs > 1 else rng.normal(size=B)
    mask = (np.arange(B) < B - 2).astype(float)
    return w, dirty, n, here, w + deltas[here], x, target, mask


def params_of(w):
    """As a linear network has them: bias, then kernel."""
    return {"head": {"bias": jnp.asarray(w[0]), "kernel": jnp.asarray(w[1:])}}


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def descend(gradient, start, steps=STEPS, rate=RATE):
    x, speed = start, 0 * start
    for _ in range(steps):
        speed = 0.9 * speed + gradient(x)
        x = x - rate * speed
    return x


def oracle(name, w, n, here, local, x, target, mask):
    classes = w.shape[1] > 1
    real = mask > 0
    x, target = x[real], target[real]

    def predict(model):
        return softmax(x @ model) if classes else x @ model

    after = np.tensordot(n[here] / n[here].sum(), local, 1)
    if name == "feddf":
        said = np.mean([x @ m for m in local], 0)
        teacher = softmax(said) if classes else said
        return descend(lambda m: x.T @ (predict(m) - teacher) / len(x), after)
    goal = np.eye(K)[target] if classes else target[:, None]

    def model(theta):
        return np.exp(theta[-1]) * np.tensordot(softmax(theta[:-1]), local, 1)

    def gradient(theta):
        m, a = model(theta), softmax(theta[:-1])
        g = x.T @ (predict(m) - goal) / len(x)
        along = np.exp(theta[-1]) * np.array([(g * one).sum() for one in local])
        return np.append(a * (along - a @ along), (g * m).sum())

    return model(descend(gradient, np.append(np.log(n[here]), 0.0)))


def as_sent(before, updates):
    del before
    return updates


@pytest.mark.parametrize("outputs", [1, K])
@pytest.mark.parametrize("name", ["feddf", "fedlaw"])
def test_what_the_server_learns_from_its_own_examples(name, outputs):
    """200 random cohorts, half a square of errors and classes."""
    worst = 0.0
    with jax.enable_x64(True):
        task = make_task(linear(outputs), cross_entropy(K) if outputs > 1 else l2())
        algorithm = tiny.algorithm(task, optax.sgd(0.1))
        change = call(f"{name}({STEPS}, {RATE})", REFINES, task=task)
        refine = refining(change, algorithm, as_sent)
        assert refine is not None
        initial = {"params": jax.tree.map(jnp.zeros_like, params_of(np.zeros((F + 1, outputs))))}

        @jax.jit
        def run(params, updates, batch):
            before = algorithm.init(initial, jnp.ones(C))._replace(params=params)
            after, _ = algorithm.apply(before, algorithm.reduce(before, updates))
            return refine(before, after, updates, batch).params["head"]

        for seed in range(200):
            w, dirty, n, here, local, x, target, mask = cohort(seed, outputs)
            vectors = jnp.asarray(dirty.reshape(C, -1))  # bias, then kernel row by row
            updates = Update(vectors, {}, jnp.asarray(n), {}, ())
            batch = {"image": x[:, 1:], "target": target.astype(float), "mask": mask}
            head = run(params_of(w), updates, {k: jnp.asarray(v) for k, v in batch.items()})
            found = np.concatenate([np.asarray(head["bias"])[None], np.asarray(head["kernel"])])
            expected = oracle(name, w, n, here, local, x, target, mask)
            worst = max(worst, np.abs(found - expected).max() / max(1, np.abs(expected).max()))
    print(f"{name}, {outputs} outputs: worst error {worst:.1e}")
    assert worst < 1e-4  # networks compute in float32


def test_nobody_present_leaves_the_model_as_it_is():
    task = make_task(linear(1), l2())
    algorithm = tiny.algorithm(task, optax.sgd(0.1))
    state = algorithm.init({"params": params_of(np.ones((F + 1, 1), np.float32))}, jnp.ones(2))
    updates = Update(jnp.full((2, F + 1), jnp.nan), {}, jnp.zeros(2), {}, ())
    batch = {"image": jnp.ones((3, F)), "target": jnp.zeros(3), "mask": jnp.ones(3)}
    for name in ("feddf()", "fedlaw()"):
        refine = refining(call(name, REFINES, task=task), algorithm, as_sent)
        assert refine is not None
        after = refine(state, state, updates, batch)
        np.testing.assert_array_equal(after.params["head"]["kernel"], 1)


def test_a_liar_is_among_the_local_models_that_the_server_learns_from():
    """One of three sends minus five times its update. FedLAW learns to leave it out; FedDF's mean
    of what the local models say has no defence; the server's own is not part of FedAvg's mean.
    """
    own = {"trusted": ("c0",)}
    methods = {
        "FedAvg": {"server": own},
        "FedLAW": {"server": {**own, "refine": "fedlaw(steps=50, learning_rate=0.3)"}},
        "FedDF": {"server": {**own, "refine": "feddf()"}},
    }
    config = small(rounds=20, every=20, methods=methods)
    config.attack = ("scale(1, factor=-5.0)",)
    problems = draw_problems(config)
    scores = {cell.method: run_cell(cell, problems, 0).scores.mean() for cell in cells(config)}
    assert scores["FedLAW"] > 85 > max(scores["FedAvg"], scores["FedDF"])


@pytest.mark.parametrize(
    ("lies", "links"),
    [([], ["drop_out(0.5)"]), (["lie_beside(1, channel='weight', value=0.0)"], []), ([], [])],
)
def test_what_arrives_has_the_weights_that_the_rule_sees(lies, links):
    task = make_task(linear(1), l2())
    made = [[call(one, EVERY) for one in some] for some in (lies, links)]
    rule = chain(*made[1], uniform_mean())
    server = ServerChain(rule, optax.sgd(1.0), mean_statistics)
    algorithm = federated(ClientChain(task, optax.sgd(0.1)), server)
    state = algorithm.init({"params": params_of(np.zeros((F + 1, 1), np.float32))}, jnp.ones(8))
    updates = Update(jnp.arange(8.0)[:, None] * jnp.ones(F + 1), {}, jnp.ones(8), {}, ())
    arrived = arriving(algorithm, *made)(state, updates)
    seen = arrived.weight > 0
    assert 0 < seen.sum() <= 8 - len(lies)
    direction = lied_to(algorithm.reduce, made[0])(state, updates).direction
    mean = (arrived.delta * seen[:, None]).sum(0) / seen.sum()
    np.testing.assert_allclose(-direction, mean, rtol=1e-5)


def test_an_attack_that_searches_is_refused_beside_a_server_with_examples():
    config = small()
    config.server.update({"trusted": ("c0",), "refine": "feddf()"})
    config.attack = ("optimised_ipm(1)",)
    with pytest.raises(ValueError, match="config.server.links: expected no attack that searches"):
        run_cell(next(cells(config)), draw_problems(config), 0)


def test_a_server_without_examples_is_refused():
    config = small()
    config.server.refine = "feddf()"
    with pytest.raises(ValueError, match="config.server.trusted: expected a client that is the s"):
        run_cell(next(cells(config)), draw_problems(config), 0)
