"""A batch computed in parts: the same gradient, the same step, padding that teaches nothing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fedbrain.algorithms.accumulation import gradient_of
from fedbrain.training import local_steps
from tests import tiny


def _gradients(task, batch, parts):
    variables = tiny.variables(task)
    state = {name: v for name, v in variables.items() if name != "params"}
    run = jax.jit(
        lambda batch, *model: gradient_of(task.loss, batch, jax.random.key(0), parts=parts)(*model)
    )
    return run(batch, variables["params"], state)


def _assert_close(ours, theirs):
    """Up to rounding of the largest number: some gradients are exactly 0 but for that."""
    size = max(float(jnp.abs(b).max()) for b in jax.tree.leaves(theirs))
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs)):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6 * size)


@pytest.mark.parametrize("parts", [2, 4])
def test_without_batch_norm_parts_give_the_gradient_of_the_whole(parts):
    """Also when the last part has masked examples, whatever they hold."""
    task = tiny.task(norm="group")
    batch = next(tiny.batches(1, seed=0, short=1))
    (whole, (_, sums)), (ours, (_, ours_sums)) = (_gradients(task, batch, p) for p in (1, parts))
    _assert_close((ours, ours_sums), (whole, sums))


def test_a_part_of_padding_leaves_batch_statistics_alone():
    task = tiny.task()
    batch = tiny.example()
    half = jax.tree.map(lambda x: x[:2], batch)
    garbage = jax.tree.map(lambda x: np.concatenate([x[:2], np.full_like(x[2:], 7)]), batch)
    garbage["mask"] = np.array([1, 1, 0, 0], np.float32)
    ours, whole = _gradients(task, garbage, 2), _gradients(task, half, 1)
    _assert_close(ours, whole)


def test_an_algorithm_takes_one_step_a_batch():
    task = tiny.task(norm="group")
    variables = tiny.variables(task)
    ends = []
    for parts in (1, 2):
        algorithm = tiny.algorithm(task, microbatches=parts)
        start = (
            algorithm.init(variables, jnp.ones(1)),
            algorithm.init_client(variables),
            jax.random.key(0),
            tiny.example(),
        )
        step = jax.jit(local_steps.guard(algorithm.local.step))
        ends.append(
            local_steps.stream(
                step, local_steps.begin(algorithm.local, *start), tiny.batches(3, seed=1)
            )
        )
    assert ends[0].steps == ends[1].steps == 3
    for a, b in zip(jax.tree.leaves(ends[1].carry.params), jax.tree.leaves(ends[0].carry.params)):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)
