"""Low-rank changes: the start is the network, gradients and means are those of matrices, files know
of no factors.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from fedbrain.aggregators import weighted_mean
from fedbrain.algorithms import Sharing
from fedbrain.algorithms.trainable import TRAINABLE
from fedbrain.experiments.spec import call
from fedbrain.models import MODELS, Frozen
from fedbrain.models.files.weights import fill, flatten, load, save
from fedbrain.models.losses import l1
from fedbrain.models.low_rank import DOWN, FACTORS, KERNEL, UP, LowRank, merged
from fedbrain.models.task import make_task
from fedbrain.training.maps import loop
from fedbrain.training.round import make_round
from tests import tiny

NETWORK = MODELS["adapted_sfcn"](channels=(4, 8, 8), dropout=0.0)
LOSS = l1(centre=50.0, scale=15.0)
RANK = 2


def adapted(name="low_rank"):
    """(which leaves train, the task of the network with factors)."""
    trainable = call(f"{name}({RANK})", TRAINABLE, stages=NETWORK.stages)
    return trainable, make_task(LowRank(Frozen(NETWORK, trainable), RANK), LOSS)


def moved(variables, seed):
    """The same with other factors."""
    rng = np.random.default_rng(seed)
    params = {
        name: {k: x + rng.normal(0, 0.1, x.shape) * (k in FACTORS) for k, x in layer.items()}
        for name, layer in variables["params"].items()
    }
    return jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), {**variables, "params": params})


def numpy_merged(variables):
    """Kernels with their change, layer by layer in numpy."""
    kernels = {}
    for name, layer in variables["params"].items():
        kernels[name] = np.asarray(layer[KERNEL], np.float64) if KERNEL in layer else None
        if DOWN in layer:
            change = np.asarray(layer[DOWN], np.float64) @ np.asarray(layer[UP], np.float64)
            kernels[name] = kernels[name] + change.reshape(kernels[name].shape)
    return {name: kernel for name, kernel in kernels.items() if kernel is not None}


def test_training_starts_at_the_network_itself_and_trains_few_numbers():
    trainable, task = adapted()
    variables = tiny.variables(task)
    params = variables["params"]
    assert "kernel_down" not in params["head"]
    assert {params[f"conv{i}"][DOWN].shape for i in (1, 2)} == {(27, RANK), (108, RANK)}
    batch = jax.tree.map(jnp.asarray, tiny.example())
    state = {"batch_stats": variables["batch_stats"]}
    plain = make_task(Frozen(NETWORK, trainable), LOSS)
    ours, _ = task.evaluate(params, state, batch)
    theirs, _ = plain.evaluate(merged(variables)["params"], state, batch)
    np.testing.assert_array_equal(ours, theirs)
    trained, _ = Sharing(trainable=trainable).trained(params)
    rows, columns, head = (27, 4 * 27, 8), (4, 8, 8), 8 + 1
    count = sum(x.size for x in jax.tree.leaves(trained))
    assert count == RANK * sum(rows) + RANK * sum(columns) + head
    _, task = adapted("low_rank_up")
    trainable, _ = adapted("low_rank_up")
    trained, _ = Sharing(trainable=trainable).trained(params)
    assert sum(x.size for x in jax.tree.leaves(trained)) == RANK * sum(columns) + head


def test_the_gradient_of_the_factors_is_that_of_the_kernel_times_the_other_factor():
    """dA = dK B^T and dB = A^T dK, with dK of the network without factors."""
    trainable, task = adapted()
    variables = moved(tiny.variables(task), 0)
    batch = jax.tree.map(jnp.asarray, tiny.example())
    state, key = {"batch_stats": variables["batch_stats"]}, jax.random.key(0)
    plain = make_task(Frozen(NETWORK, trainable), LOSS)
    ours = jax.grad(lambda p: task.loss(p, state, batch, key)[0])(variables["params"])
    theirs = jax.grad(lambda p: plain.loss(p, state, batch, key)[0])(merged(variables)["params"])
    for name, layer in variables["params"].items():
        if DOWN in layer:
            dk = np.asarray(theirs[name][KERNEL]).reshape(-1, layer[UP].shape[1])
            close = {"rtol": 1e-3, "atol": 1e-6}
            np.testing.assert_allclose(ours[name][DOWN], dk @ np.asarray(layer[UP]).T, **close)
            np.testing.assert_allclose(ours[name][UP], np.asarray(layer[DOWN]).T @ dk, **close)


@pytest.mark.parametrize("name", ["low_rank", "low_rank_up"])
def test_a_mean_of_factors_is_the_mean_of_changes_where_one_of_them_stands_still(name):
    """Three clients and the weighted mean: with A frozen the server's kernels are the mean of the
    clients'; with both in training they are not.
    """
    trainable, task = adapted(name)
    variables = tiny.variables(task)
    ends = []
    for seed in range(3):
        own = moved(variables, seed)["params"]
        chosen = Sharing(trainable=trainable).trained(own)[0]
        ends.append(jax.tree.map(lambda x, y: y if x is None else x, chosen, variables["params"],
                                 is_leaf=lambda x: x is None))  # fmt: skip
    n = jnp.asarray([1.0, 2.0, 5.0])
    stacked = jax.tree.map(lambda *x: jnp.stack(x), *ends)
    rule = weighted_mean()
    mean = rule.update(stacked, rule.init(ends[0]), weights=n)[0]
    server = numpy_merged({"params": mean})
    p = np.asarray(n) / 8
    clients = [numpy_merged({"params": end}) for end in ends]
    off = max(
        np.abs(server[k] - sum(w * one[k] for w, one in zip(p, clients))).max() for k in server
    )
    print(f"{name}: mean of factors minus mean of changes, {off:.1e}")
    assert off < 1e-6 if name == "low_rank_up" else off > 1e-3


@pytest.mark.parametrize("name", ["low_rank", "low_rank_up"])
def test_rounds_move_the_trained_factors_and_the_head_alone(name):
    trainable, task = adapted(name)
    variables = tiny.variables(task)
    algorithm = tiny.algorithm(task, optax.adam(1e-2), sharing=Sharing(trainable=trainable))
    run_round, state = make_round(algorithm, loop()), algorithm.init(variables, jnp.ones(3))
    for r in range(2):  # in the first A has no gradient, since B is 0
        state, _, _ = run_round(state, tiny.cohort(algorithm, variables, round=r), tiny.example())
    before, after = flatten(variables), flatten({"params": state.params, **state.model_state})
    changed = {k for k in before if not np.array_equal(before[k], after[k])}
    assert changed == {k for k in before if trainable(*k.split("/", 1))}
    sent = sum(x.size for x in jax.tree.leaves(algorithm.shared(variables)))
    assert sent == sum(before[k].size for k in changed)


def test_files_hold_the_network_and_a_start_from_one_has_new_factors(tmp_path):
    _, task = adapted()
    fresh = tiny.variables(task)
    trained = moved(fresh, 1)
    path = str(tmp_path / "model.safetensors")
    save(merged(trained), path, torch=False)
    plain = tiny.variables(make_task(NETWORK, LOSS))
    read, report = load(plain, path, head=True)
    for layer, kernel in numpy_merged(trained).items():
        np.testing.assert_allclose(read["params"][layer][KERNEL], kernel, atol=1e-6)
    assert not report.fresh
    assert not report.left_over
    again, report = load(fresh, path, head=False)
    assert len(report.fresh) == 6
    assert report.missing == ["params/head/bias", "params/head/kernel"]
    assert "6 factors of low rank start anew" in str(report)
    np.testing.assert_array_equal(again["params"]["conv1"][UP], 0)
    np.testing.assert_array_equal(again["params"]["conv1"][DOWN], fresh["params"]["conv1"][DOWN])
    whole, report = fill(fresh, flatten(trained), "itself", head=True)
    assert not report.fresh
    np.testing.assert_array_equal(whole["params"]["conv1"][UP], trained["params"]["conv1"][UP])


def test_a_rank_that_is_none_is_refused():
    with pytest.raises(ValueError, match="Expected rank=0 >= 1"):
        call("low_rank(0)", TRAINABLE, stages=NETWORK.stages)
