"""Terms of a loss that see features and labels, against numpy and central differences."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from fedbrain.aggregators import weighted_mean
from fedbrain.aggregators.statistics import mean_statistics
from fedbrain.algorithms import (
    EXAMPLES,
    VARIANTS,
    ClientChain,
    ServerChain,
    Sharing,
    federated,
)
from fedbrain.algorithms.sharing import without_head
from fedbrain.experiments.spec import call
from fedbrain.models.losses import l2
from fedbrain.models.tabular import mlp
from fedbrain.models.task import make_task
from fedbrain.training import local_steps
from fedbrain.types import Task
from tests import tiny

F, B, H = 3, 4, 0.1
RNG = np.random.default_rng(0)
BATCH = {
    "image": RNG.normal(size=(B, F)),
    "target": RNG.normal(size=B),
    "mask": np.array([1.0, 1.0, 1.0, 0.0]),
}


def forward(params, x):
    """(features, output) of a perceptron with one hidden layer."""
    z = np.maximum(x @ params["hidden0"]["kernel"] + params["hidden0"]["bias"], 0)
    return z, (z @ params["head"]["kernel"] + params["head"]["bias"])[:, 0]


def loss_of(params, received, last, *, penalty, temperature):
    real = BATCH["mask"] > 0
    x, y = BATCH["image"][real], BATCH["target"][real]
    (z, out), (g, _), (p, _) = (forward(m, x) for m in (params, received, last))
    cos = [(z * o).sum(1) / np.linalg.norm(z, axis=1) / np.linalg.norm(o, axis=1) for o in (g, p)]
    near, far = (np.exp(c / temperature) for c in cos)
    return np.mean(0.5 * (out - y) ** 2) - penalty * np.mean(np.log(near / (near + far)))


def step_of(params, *rest, **more):
    """One step of gradient descent on `loss_of`, by central differences."""
    flat, back = jax.flatten_util.ravel_pytree(params)
    flat, gradient = np.asarray(flat, np.float64), np.zeros(flat.size)
    unravel = lambda v: jax.tree.map(np.asarray, back(jnp.asarray(v)))  # noqa: E731
    for k in range(flat.size):
        e = 1e-6 * np.eye(flat.size)[k]
        up, down = (loss_of(unravel(flat + s * e), *rest, **more) for s in (1, -1))
        gradient[k] = (up - down) / 2e-6
    return unravel(flat - H * gradient)


def round_of(algorithm, server, own, *, steps):
    batch = jax.tree.map(jnp.asarray, BATCH)
    progress = local_steps.begin(algorithm.local, server, own, jax.random.key(0), batch)
    guarded = jax.jit(local_steps.guard(algorithm.local.step))
    progress = local_steps.stream(guarded, progress, [batch] * steps)
    return local_steps.end(algorithm.local, server, own, progress, jnp.asarray(3.0))


@pytest.mark.parametrize("microbatches", [1, 2])
def test_moon_is_its_contrastive_loss(microbatches):
    """Two rounds of two steps: in the second the client's last model is its own of the first. In
    two parts of a batch the term is a mean over all of it, too.
    """
    penalty, temperature = 2.0, 0.7
    with jax.enable_x64(True):
        task = make_task(mlp(widths=(5,)), l2())
        variables = task.init(jax.random.key(3), jnp.asarray(BATCH["image"][:1]))
        variables = jax.tree.map(lambda x: jnp.asarray(x, jnp.float64) + 0.3, variables)
        variant = VARIANTS["moon"](penalty, temperature)
        algorithm = tiny.algorithm(task, optax.sgd(H), variant=variant, microbatches=microbatches)
        server, own = algorithm.init(variables, jnp.ones(1)), algorithm.init_client(variables)
        received = last = jax.tree.map(np.asarray, variables["params"])
        for _ in range(2):
            update, own = round_of(algorithm, server, own, steps=2)
            y = received
            for _ in range(2):
                y = step_of(y, received, last, penalty=penalty, temperature=temperature)
            moved = jax.flatten_util.ravel_pytree(y)[0] - jax.flatten_util.ravel_pytree(received)[0]
            np.testing.assert_allclose(update.delta, moved, atol=2e-8)
            last = y


def test_a_term_that_sees_features_costs_no_second_pass_of_the_trained_model():
    """MOON's step has the products of FedAvg's and two forward passes more."""
    task = make_task(mlp(widths=(5, 5)), l2())
    variables = task.init(jax.random.key(3), jnp.asarray(BATCH["image"][:1]))

    def products(name):
        algorithm = tiny.algorithm(task, optax.sgd(H), variant=VARIANTS[name]())
        server, own = algorithm.init(variables, jnp.ones(1)), algorithm.init_client(variables)
        batch = {k: jnp.asarray(v, jnp.float32) for k, v in BATCH.items()}
        carry = algorithm.local.init(server, own, jax.random.key(0))
        text = jax.jit(algorithm.local.step).lower(carry, batch).compile().as_text()
        return text.count(" dot(")

    # two other models have two hidden layers each; their heads are not needed
    assert products("moon") == products("fedavg") + 4


def test_a_term_needs_a_network_with_a_head():
    def loss(params, model_state, batch, key):
        return params["w"].sum(), (model_state, {"loss": params["w"].sum(), "count": 1.0})

    task = Task(lambda *a: {}, loss, lambda *a: (a[0], a[0]))
    algorithm = federated(
        ClientChain(task, optax.sgd(H)),
        ServerChain(weighted_mean(), optax.sgd(1.0), mean_statistics),
        variant=VARIANTS["moon"](),
    )
    variables = {"params": {"w": jnp.zeros(2)}}
    server, own = algorithm.init(variables, jnp.ones(1)), algorithm.init_client(variables)
    with pytest.raises(ValueError, match="whose last layer is called 'head'"):
        round_of(algorithm, server, own, steps=1)


@pytest.mark.parametrize(
    ("arguments", "shares"),
    [
        ((2, -10.0, 10.0), lambda y: [(y < 0).sum(), (y >= 0).sum()]),
        ((4, -1.0, 0.5), lambda y: np.histogram(np.clip(y, -1, 0.99), 4, (-1, 1))[0]),
    ],
)
def test_a_client_reports_how_far_its_labels_are_from_evenly_spread(arguments, shares):
    algorithm = tiny.algorithm(
        make_task(mlp(widths=(5,)), l2()),
        optax.sgd(H),
        variant=VARIANTS["report_discrepancy"](*arguments),
    )
    variables = make_task(mlp(widths=(5,)), l2()).init(jax.random.key(0), jnp.zeros((1, F)))
    server, own = algorithm.init(variables, jnp.ones(1)), algorithm.init_client(variables)
    update, _ = round_of(algorithm, server, own, steps=3)
    counts = np.asarray(shares(BATCH["target"][:3]), float)
    expected = np.linalg.norm(counts / counts.sum() - 1 / len(counts))
    np.testing.assert_allclose(update.metrics["discrepancy"], expected, rtol=1e-6)


@pytest.mark.parametrize("name", VARIANTS)
def test_every_algorithm_keeps_private_leaves_and_frozen_ones(name):
    """A round with the head private and the first layer frozen: only what lies between is sent."""
    task = make_task(mlp(widths=(5, 4)), l2())
    variables = task.init(jax.random.key(3), jnp.asarray(BATCH["image"][:1]))
    sharing = Sharing(without_head(), lambda collection, path: not path.startswith("hidden0"))
    variant = call(f"{name}({EXAMPLES.get(name, '')})", VARIANTS)
    algorithm = tiny.algorithm(task, optax.sgd(H), variant=variant, sharing=sharing)
    server, own = algorithm.init(variables, jnp.ones(1)), algorithm.init_client(variables)
    rows = {k: jnp.asarray(v, jnp.float32) for k, v in BATCH.items()}
    for _ in range(2):  # mime only measures in its first round
        progress = local_steps.begin(algorithm.local, server, own, jax.random.key(0), rows)
        step = jax.jit(local_steps.guard(algorithm.local.step))
        progress = local_steps.stream(step, progress, [rows] * 2)
        update, own = local_steps.end(algorithm.local, server, own, progress, jnp.asarray(3.0))
        assert update.delta.shape == (5 * 4 + 4,)
        together = jax.tree.map(lambda x: jnp.asarray(x)[None], update)
        server = algorithm.apply(server, algorithm.reduce(server, together))[0]
    assert np.abs(update.delta).max() > 0
    used = algorithm.client_variables(server, own)["params"]
    np.testing.assert_array_equal(
        used["hidden0"]["kernel"], variables["params"]["hidden0"]["kernel"]
    )
    assert not np.array_equal(used["hidden1"]["kernel"], variables["params"]["hidden1"]["kernel"])
    np.testing.assert_array_equal(
        server.params["head"]["kernel"], variables["params"]["head"]["kernel"]
    )
