"""Which leaves are shared, and rounds in which nobody is there."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from fedbrain.algorithms import SHARING, Sharing
from fedbrain.algorithms.leaves import path_name
from fedbrain.algorithms.sharing import without_statistics
from fedbrain.training.maps import loop
from fedbrain.training.round import make_round
from tests import tiny


@pytest.mark.parametrize("name", SHARING)
def test_only_the_shared_leaves_leave_and_the_rest_stays_with_the_client(name):
    shared = SHARING[name]()
    task = tiny.task()
    variables = tiny.variables(task)
    algorithm = tiny.algorithm(task, sharing=Sharing(shared))
    run_round = make_round(algorithm, loop())
    state, clients, _ = run_round(
        algorithm.init(variables, jnp.ones(3)), tiny.cohort(algorithm, variables), tiny.example()
    )
    for path, before in jax.tree_util.tree_leaves_with_path(variables["params"]):
        after = dict(
            (path_name(p), x) for p, x in jax.tree_util.tree_leaves_with_path(state.params)
        )[path_name(path)]
        moved = not np.array_equal(before, after)
        if not shared("params", path_name(path)):
            assert not moved, path_name(path)
            private = [c.params for c in clients]
            values = [
                dict((path_name(p), x) for p, x in jax.tree_util.tree_leaves_with_path(t))[
                    path_name(path)
                ]
                for t in private
            ]
            assert not np.array_equal(values[0], values[1])
    own = [algorithm.client_variables(state, c) for c in clients]
    assert all(jax.tree.structure(v) == jax.tree.structure(variables) for v in own)
    same = all(
        np.array_equal(a, b) for a, b in zip(jax.tree.leaves(own[0]), jax.tree.leaves(own[1]))
    )
    assert same == (name == "everything")


def test_local_statistics_stay():
    task = tiny.task()
    variables = tiny.variables(task)
    algorithm = tiny.algorithm(task, sharing=Sharing(without_statistics(SHARING["everything"]())))
    state, clients, _ = make_round(algorithm, loop())(
        algorithm.init(variables, jnp.ones(3)), tiny.cohort(algorithm, variables), tiny.example()
    )
    assert jax.tree.leaves(clients[0].params) == []
    for a, b in zip(jax.tree.leaves(state.model_state), jax.tree.leaves(variables["batch_stats"])):
        np.testing.assert_array_equal(a, b)


def test_a_round_without_anybody_changes_nothing_but_its_number():
    task = tiny.task()
    variables = tiny.variables(task)
    algorithm = tiny.algorithm(task, server_optimizer=optax.sgd(1.0, momentum=0.9))
    cohort = [c._replace(batches=()) for c in tiny.cohort(algorithm, variables)]
    before = algorithm.init(variables, jnp.ones(3))
    after, _, info = make_round(algorithm, loop())(before, cohort, tiny.example())
    assert int(after.round) == 1
    assert float(info["steps"].sum()) == 0
    for a, b in zip(
        jax.tree.leaves(after._replace(round=0)), jax.tree.leaves(before._replace(round=0))
    ):
        np.testing.assert_array_equal(a, b)
