"""Drivers agree, padding and absence are no-ops, arrival order changes nothing."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from fedbrain.training import local_steps
from fedbrain.training.maps import DRIVERS, chunk, loop, shard, vmap
from fedbrain.training.round import Client, make_round, server_step
from fedbrain.types import Task, Update
from tests import tiny

CHOICES = {
    "loop": loop(),
    "chunk": chunk(2),
    "vmap": vmap(),
    "shard": shard(2),
    "shard a batch": shard(2, batch=2),
}


@cache
def _compiled(driver):
    """(algorithm, its round under a driver), for all tests that take the same steps."""
    algorithm = tiny.algorithm(tiny.task(), optax.sgd(1e-3, momentum=0.9))
    return algorithm, make_round(algorithm, CHOICES[driver])


@cache
def _rounds(driver):
    algorithm, run_round = _compiled(driver)
    variables = tiny.variables(tiny.task())
    state = algorithm.init(variables, jnp.ones(3))
    for r in range(3):
        state, _, info = run_round(
            state, tiny.cohort(algorithm, variables, round=r), tiny.example()
        )
    return state, info


def _largest_difference(a, b):
    return max(float(jnp.abs(x - y).max()) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b)))


def test_every_driver_is_tested():
    """`processes` is in tests/processes, with several of them."""
    assert {name.split()[0] for name in CHOICES} | {"processes"} == set(DRIVERS)


@pytest.mark.parametrize("name", [n for n in CHOICES if n != "loop"])
def test_drivers_agree_on_batch_norm_and_a_1x1x1_convolution(name):
    """Three clients of unequal size over two devices, or each over both; masked examples that
    hold 1e6.
    """
    reference, info = _rounds("loop")
    state, other = _rounds(name)
    assert (
        _largest_difference(
            (reference.params, reference.model_state), (state.params, state.model_state)
        )
        < 1e-5
    )
    np.testing.assert_array_equal(info["steps"], other["steps"])
    np.testing.assert_allclose(info["loss"], other["loss"], rtol=1e-4)


@pytest.mark.parametrize("driver", CHOICES)
def test_arrival_order_changes_no_bit(driver):
    variables = tiny.variables(tiny.task())
    algorithm, run_round = _compiled(driver)
    results = []
    for order in ([0, 1, 2], [2, 0, 1]):
        cohort = tiny.cohort(algorithm, variables)
        state, _, info = run_round(
            algorithm.init(variables, jnp.ones(3)), [cohort[i] for i in order], tiny.example()
        )
        assert info["steps"].tolist() == [2.0 + i for i in order]
        results.append(state)
    for a, b in zip(jax.tree.leaves(results[0]), jax.tree.leaves(results[1])):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("driver", CHOICES)
def test_an_absent_client_changes_nothing(driver):
    variables = tiny.variables(tiny.task())
    algorithm, run_round = _compiled(driver)
    present = tiny.cohort(algorithm, variables)[:2]
    absent = present[0]._replace(name="zebra", examples=1000, batches=())
    with_absent, _, info = run_round(
        algorithm.init(variables, jnp.ones(3)), [*present, absent], tiny.example()
    )
    without, _, _ = run_round(algorithm.init(variables, jnp.ones(3)), present, tiny.example())
    assert info["examples"].tolist()[-1] == 0
    assert _largest_difference(with_absent.params, without.params) < 1e-5


def _progress(algorithm, variables):
    return local_steps.begin(
        algorithm.local,
        algorithm.init(variables, jnp.ones(3)),
        algorithm.init_client(variables),
        jax.random.key(0),
        tiny.example(),
    )


@pytest.mark.parametrize(
    "optimizer", [optax.adamw(1e-2), optax.sgd(1e-2, momentum=0.9)], ids=["adamw", "momentum"]
)
def test_a_padded_step_changes_no_bit(optimizer):
    """Not the variables, not a momentum, not weight decay, not a counter; whatever the padding
    holds.
    """
    task = tiny.task(dropout=0.5)
    variables = tiny.variables(task)
    algorithm = tiny.algorithm(task, optimizer)
    step = jax.jit(local_steps.guard(algorithm.local.step))
    progress = step(_progress(algorithm, variables), tiny.example())
    nothing = jax.tree.map(lambda x: np.full_like(x, np.nan), tiny.example()) | {
        "mask": np.zeros(4, np.float32)
    }
    after = step(progress, nothing)
    for a, b in zip(jax.tree.leaves(after), jax.tree.leaves(progress)):
        if jax.dtypes.issubdtype(a.dtype, jax.dtypes.prng_key):
            a, b = jax.random.key_data(a), jax.random.key_data(b)
        np.testing.assert_array_equal(a, b)


def test_scan_and_stream_drive_the_same_step():
    task = tiny.task()
    variables = tiny.variables(task)
    algorithm = tiny.algorithm(task)
    step = local_steps.guard(algorithm.local.step)
    batches = list(tiny.batches(4, seed=3, short=2))
    streamed = local_steps.stream(jax.jit(step), _progress(algorithm, variables), batches)
    stacked = jax.tree.map(lambda *x: np.stack(x), *batches)
    scanned = jax.jit(partial(local_steps.scan, step))(_progress(algorithm, variables), stacked)
    assert int(streamed.steps) == int(scanned.steps) == 4
    assert _largest_difference(streamed.carry.params, scanned.carry.params) < 1e-5


def test_the_server_lowers_every_clients_learning_rate():
    task = tiny.task()
    variables = tiny.variables(task)
    algorithm = tiny.algorithm(task, optax.sgd(1e-2))
    run_round = make_round(algorithm, loop())
    cohort = [c._replace(batches=list(c.batches)[:1]) for c in tiny.cohort(algorithm, variables)]
    full, _, _ = run_round(algorithm.init(variables, jnp.ones(3)), cohort, tiny.example())
    slow_start = algorithm.init(variables, jnp.ones(3))._replace(
        learning_rate_scale=jnp.asarray(0.5)
    )
    half, _, _ = run_round(slow_start, cohort, tiny.example())
    for w, a, b in zip(
        *(jax.tree.leaves(t) for t in (variables["params"], full.params, half.params))
    ):
        np.testing.assert_allclose(b - w, 0.5 * (a - w), rtol=1e-3, atol=1e-6)


def test_more_devices_than_there_are_is_one_sentence():
    with pytest.raises(ValueError, match="Expected devices=64 <= 2 available"):
        shard(64)


def test_the_servers_program_grows_with_the_leaves_not_with_their_square():
    """DenseNet-121 has 364 of them: what is computed per client must not be copied into every
    leaf's fusion.
    """

    def lines(leaves):
        params = {f"leaf{k:03d}": jnp.zeros((3 + k % 5, 7)) for k in range(leaves)}
        algorithm = tiny.algorithm(Task(lambda *a: params, lambda *a: a, lambda *a: a))
        coordinates = sum(x.size for x in params.values())
        each = jax.ShapeDtypeStruct((3,), jnp.float32)
        update = Update(
            jax.ShapeDtypeStruct((3, coordinates), jnp.float32),
            {},
            each,
            dict.fromkeys(("loss", "count", "examples", "steps"), each),
            (),
        )
        state = algorithm.init({"params": params}, jnp.ones(3))
        program = jax.jit(partial(server_step, algorithm)).lower(state, update).compile()
        return program.as_text().count("\n")

    assert lines(80) < 2.2 * lines(40)


@pytest.mark.parametrize("driver", CHOICES.values(), ids=CHOICES)
def test_equal_deltas_give_equal_bits_under_every_driver(driver):
    """Deltas that are exact (steps of powers of two): model, norms and cosines to the last bit,
    whatever the map.
    """

    def loss(params, model_state, batch, key):
        value = jnp.sum(params["w"] * batch["image"].sum(0))
        return value, (model_state, {"loss": value, "count": batch["mask"].sum()})

    w = jax.random.normal(jax.random.key(0), (5000,))
    task = Task(lambda key, image: {"params": {"w": w}}, loss, lambda *a: (a[0], a[0]))
    algorithm = tiny.algorithm(task, optax.sgd(0.5))
    variables = {"params": {"w": jnp.zeros(5000)}}
    rng = np.random.default_rng(0)
    images = [rng.integers(-(2**20), 2**20, (2, 5000)).astype(np.float32) for _ in range(5)]
    key, own = jax.random.key(0), algorithm.init_client(variables)
    batches = [
        {"image": x, "target": np.zeros(2, np.float32), "mask": np.ones(2, np.float32)}
        for x in images
    ]
    cohort = [Client(f"c{i}", n, own, key, [batches[i]]) for i, n in enumerate((7, 30, 1, 12, 55))]
    results = []
    for d in (loop(), driver):
        state, _, info = make_round(algorithm, d)(
            algorithm.init(variables, jnp.ones(5)), cohort, batches[0]
        )
        results.append((state.params, info["delta_norm"], info["cosine"], info["influence"]))
    for a, b in zip(*map(jax.tree.leaves, results)):
        np.testing.assert_array_equal(a, b)
