"""Grades of freezing: what trains is sent, what does not stands still, statistics included;
covariates join the head.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fedbrain.algorithms import VARIANTS, Sharing
from fedbrain.algorithms.leaves import path_name
from fedbrain.algorithms.trainable import TRAINABLE, after, stage_of
from fedbrain.experiments.spec import call
from fedbrain.models import MODELS, Frozen, WithCovariates
from fedbrain.models.losses import l1
from fedbrain.models.task import make_task
from fedbrain.training.maps import loop
from fedbrain.training.round import make_round
from tests import tiny

NETWORK = MODELS["adapted_sfcn"](channels=(4, 8, 8), dropout=0.0)
GRADES = ["everything()", "only_head()", "after('norm1')", "after('conv2')"]


def _named(tree):
    return {path_name(p): np.asarray(x) for p, x in jax.tree_util.tree_leaves_with_path(tree)}


def _trained(grade, network=NETWORK, rounds=2, **more):
    trainable = call(grade, TRAINABLE, stages=network.stages)
    task = make_task(Frozen(network, trainable), l1(centre=50.0, scale=15.0))
    variables = tiny.variables(task)
    algorithm = tiny.algorithm(task, sharing=Sharing(trainable=trainable), **more)
    run_round, state = make_round(algorithm, loop()), algorithm.init(variables, jnp.ones(3))
    for r in range(rounds):
        state, clients, _ = run_round(
            state, tiny.cohort(algorithm, variables, round=r), tiny.example()
        )
    return trainable, variables, state, clients


@pytest.mark.parametrize("grade", GRADES)
def test_frozen_layers_and_their_statistics_stand_still(grade):
    trainable, variables, state, clients = _trained(grade)
    for collection, after_training in (
        ("params", state.params),
        ("batch_stats", state.model_state["batch_stats"]),
    ):
        before = _named(variables[collection])
        for name, value in _named(after_training).items():
            changed = not np.array_equal(before[name], value)
            assert changed == trainable(collection, name) or (
                name.endswith("bias") and "conv" in name
            ), name
    assert not jax.tree.leaves(clients[0].params)  # nothing is private either


@pytest.mark.parametrize(
    "name", ["scaffold()", "feddyn(alpha=0.1)", "ditto(penalty=0.1)", "fedavg()"]
)
def test_every_kind_of_memory_leaves_frozen_layers_alone(name):
    """SCAFFOLD's controls, FedDyn's multipliers and Ditto's own models know only what trains."""
    trainable, variables, state, _ = _trained("after('norm1')", variant=call(name, VARIANTS))
    before = _named(variables["params"])
    moved = {n for n, v in _named(state.params).items() if not np.array_equal(before[n], v)}
    assert moved
    assert all(trainable("params", n) for n in moved)
    frozen = sum(v.size for n, v in before.items() if not trainable("params", n))
    memory = sum(np.size(x) for x in jax.tree.leaves(state.extra))
    assert memory <= sum(v.size for v in before.values()) - frozen + 10


def test_shallow_transfer_of_densenet_trains_the_heads_1025_numbers():
    network = MODELS["densenet121"]()
    trainable = call("only_head()", TRAINABLE, stages=network.stages)
    shapes = jax.eval_shape(
        lambda: network.init(jax.random.key(0), jnp.zeros((1, 32, 32, 32, 1)), train=False)
    )
    sizes = {
        n: x.size
        for n, x in (
            (path_name(p), x) for p, x in jax.tree_util.tree_leaves_with_path(shapes["params"])
        )
    }
    assert sum(size for name, size in sizes.items() if trainable("params", name)) == 1025
    grades = [f"after('transition{k}')" for k in (3, 2, 1)]
    trained = [
        sum(s for n, s in sizes.items() if call(g, TRAINABLE, stages=network.stages)("params", n))
        for g in grades
    ]
    assert 1025 < trained[0] < trained[1] < trained[2] < sum(sizes.values()) == 11_243_649


@pytest.mark.parametrize("name", ["densenet121", "sfcn", "adapted_sfcn", "tissue_shares"])
def test_every_leaf_belongs_to_a_stage(name):
    network = MODELS[name]()
    shapes = jax.eval_shape(
        lambda: network.init(jax.random.key(0), jnp.zeros((1, 32, 32, 32, 1)), train=False)
    )
    for collection in shapes.values():
        for path, _ in jax.tree_util.tree_leaves_with_path(collection):
            assert stage_of(path_name(path), network.stages) is not None, path_name(path)


def test_an_unknown_stage_is_answered_with_the_known_ones():
    with pytest.raises(
        ValueError,
        match="before its head, conv1, norm1, conv2, norm2, conv3, norm3, got 'transition3'",
    ):
        after("transition3", NETWORK.stages)


def test_covariates_join_the_last_layer():
    """output = network(image) + W covariates; W starts at zero, belongs to the head and renames
    nothing.
    """
    task = make_task(Frozen(WithCovariates(NETWORK), lambda c, p: True), l1())
    image, covariates = jnp.asarray(tiny.example()["image"]), jnp.ones((4, 2))
    variables = task.init(jax.random.key(0), image, covariates)
    plain = make_task(NETWORK, l1()).init(jax.random.key(0), image)
    assert set(_named(variables["params"])) - set(_named(plain["params"])) == {
        "head_covariates/kernel"
    }
    batch = {
        name: jnp.asarray(value)
        for name, value in {**tiny.example(), "covariates": covariates}.items()
    }
    state = {"batch_stats": variables["batch_stats"]}
    before, _ = task.evaluate(variables["params"], state, batch)
    lifted = {**variables["params"], "head_covariates": {"kernel": jnp.asarray([[2.0], [3.0]])}}
    after_lift, _ = task.evaluate(lifted, state, batch)
    np.testing.assert_allclose(after_lift - before, 5.0, rtol=1e-5)
    assert stage_of("head_covariates/kernel", NETWORK.stages) == "head"
