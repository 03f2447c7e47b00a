"""What a step needs, by the compiler's account; on a CPU, whose compiler is here."""

from importlib.util import find_spec

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from fedbrain.algorithms.quadratic import quadratic_algorithm, quadratic_batch
from fedbrain.training.accelerators import ACCELERATORS, describe
from fedbrain.training.ahead_of_time import gather_needs, step_needs
from fedbrain.types import Task
from tests import tiny

NUMBERS = 2**20
COMPILERS = {"v5e": "libtpu"}


def test_a_step_needs_its_model_twice_on_every_device():
    """Parameters and those before the step, which clients keep; devices hold a client each."""
    variables = {"params": {"w": jnp.zeros(NUMBERS)}}
    found = [
        step_needs(quadratic_algorithm(), variables, quadratic_batch(), jax.devices()[:n])
        for n in (1, 2)
    ]
    for needs in found:
        assert 4 * NUMBERS <= needs.bytes < 16 * NUMBERS
    assert found[0].bytes == pytest.approx(found[1].bytes, rel=0.01)


def test_devices_that_share_a_batch_need_less_each():
    """An example is larger than the model: two devices hold half of the images each."""
    image = np.zeros((4, NUMBERS // 8), np.float32)
    batch = quadratic_batch() | {"image": image, "target": image[:, 0], "mask": image[:, 0]}
    loss = lambda params, state, batch, key: (  # noqa: E731
        jnp.sum(params["w"] * batch["image"]),
        (state, {"loss": jnp.zeros(()), "count": jnp.ones(())}),
    )
    algorithm = tiny.algorithm(Task(lambda *a: {}, loss, lambda *a: (a[0], a[0])), optax.sgd(0.1))
    variables, devices = {"params": {"w": jnp.zeros(())}}, jax.devices()
    one = step_needs(algorithm, variables, batch, devices[:1]).bytes
    each = step_needs(algorithm, variables, batch, devices[:2], share=2).bytes
    assert one >= image.nbytes
    assert each < 0.6 * one


def test_a_gathering_needs_what_all_send():
    devices = jax.devices()
    needs = gather_needs(NUMBERS, [devices[:1], devices[1:2]])
    assert 3 * NUMBERS <= needs.bytes < 6 * NUMBERS  # its own, and that of both


@pytest.mark.parametrize("name", ACCELERATORS)
def test_a_compiler_that_is_missing_is_named(name):
    if find_spec(COMPILERS.get(name, "jax_cuda12_plugin")):
        assert len(describe(name, devices=4)) == 4
    else:
        with pytest.raises(ValueError, match="its compiler did not start; install it on Linux"):
            describe(name)
