"""Devices that share a client's batch: the rounds of `loop` within rounding, statistics over the
whole batch.

XLA divides its own convolutions here, as on accelerators, besides those of a CPU. Vmapped 1x1x1
convolutions that it divides are wrong in some versions (jax 0.10.2).
"""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

from fedbrain.experiments.compiled import init_variables
from fedbrain.models.densenet import DenseNet
from fedbrain.models.losses import l1
from fedbrain.models.normalisation import BatchNorm
from fedbrain.models.task import make_task
from fedbrain.training.evaluate import make_evaluate
from fedbrain.training.maps import loop, shard
from fedbrain.training.round import make_round
from tests import tiny
from tests.training.test_round import _largest_difference


class XlasOwn(nn.Module):
    """Convolutions of 3^3 and 1^3 voxels that XLA computes itself."""

    @nn.compact
    def __call__(self, image, *, train, mask=None):
        x = image
        for i, size in enumerate((3, 1)):
            x = nn.Conv(4, (size,) * 3, name=f"conv{i}")(x)
            x = nn.relu(BatchNorm(name=f"norm{i}")(x, train=train, mask=mask))
        x = nn.Dropout(0.5, deterministic=not train)(x.mean((1, 2, 3)))
        return nn.Dense(1, name="head")(x)


NETWORKS = {
    "XLA's own": (XlasOwn(), tiny.SHAPE),
    "DenseNet": (DenseNet(blocks=(1, 1), growth=4, init_features=4), (32, 32, 32)),
    "DenseNet, remat": (DenseNet(blocks=(1, 1), growth=4, init_features=4, remat=True), (32,) * 3),
}


def rounds(network, driver, *, parts, names):
    """Server and metrics after two rounds; the last batch of a client has a masked example that
    holds 1e6.
    """
    model, shape = NETWORKS[network]
    task = make_task(model, l1(centre=50.0, scale=15.0))
    variables = init_variables(task, jax.random.key(0), jnp.zeros((1, *shape, 1)))
    algorithm = tiny.algorithm(task, optax.sgd(1e-3, momentum=0.9), microbatches=parts)
    run_round = make_round(algorithm, driver)
    state = algorithm.init(variables, jnp.ones(len(names)))
    for r in range(2):
        cohort = [
            c._replace(batches=list(tiny.batches(2, seed=10 * r + i, short=1, shape=shape)))
            for i, c in enumerate(tiny.cohort(algorithm, variables, round=r, names=names))
        ]
        state, _, info = run_round(state, cohort, tiny.example(shape=shape))
    return state, info


def require_equal(network, driver, *, parts=1, names=("amber", "birch")):
    """The rounds of a driver and those of `loop`."""
    expected, info = rounds(network, loop(), parts=parts, names=names)
    state, other = rounds(network, driver, parts=parts, names=names)
    trained = [(s.params, s.model_state) for s in (expected, state)]
    assert _largest_difference(*trained) < 1e-5
    np.testing.assert_allclose(info["loss"], other["loss"], rtol=1e-5)


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("network", NETWORKS)
def test_two_devices_that_share_a_batch_have_the_rounds_of_one(network, parts):
    require_equal(network, shard(2, batch=2), parts=parts)


def test_an_evaluation_is_shared_too():
    task = tiny.task()
    variables, batches = tiny.variables(task), list(tiny.batches(3, seed=1, short=3))
    one = make_evaluate(task)(variables, batches)
    two = make_evaluate(task, shard(2, batch=2).mesh)(variables, batches)
    assert len(one[0]) == 9
    for a, b in zip(one, two):
        np.testing.assert_allclose(a, b, rtol=1e-5)


def test_two_groups_of_two_devices():
    """In a process of its own, which has four; the third client is alone in its turn."""
    flags = "--xla_force_host_platform_device_count=4"
    subprocess.run(
        [sys.executable, "-m", "tests.training.test_shared_batches"],
        env=os.environ | {"XLA_FLAGS": flags},
        check=True,
    )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((4, 3), "Expected batch=3 to divide devices=4: 1, 2 or 4"),
        ((2, 0), "Expected batch=0 to divide devices=2: 1 or 2"),
        ((64, 2), "Expected devices=64 <= 2 available"),
    ],
)
def test_groups_that_cannot_be_formed_are_refused(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        shard(*arguments)


if __name__ == "__main__":
    for number in (1, 2):
        require_equal(
            "XLA's own", shard(4, batch=2), parts=number, names=("amber", "birch", "cedar")
        )
