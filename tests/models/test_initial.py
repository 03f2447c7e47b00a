"""Initial values: those of flax, by a program with few draws."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from fedbrain.models import MODELS
from fedbrain.models.initial import he_normal, together
from fedbrain.models.losses import LOSSES
from fedbrain.models.task import make_task


@pytest.mark.parametrize("shape", [(3, 3, 3, 1, 32), (96, 128), (7, 7, 7, 1, 64), (1, 1)])
def test_a_kernel_is_that_of_flax_to_the_bit(shape):
    key = jax.random.key(3)
    theirs = jax.jit(partial(nn.initializers.he_normal(), shape=shape))
    np.testing.assert_array_equal(jax.jit(he_normal, static_argnums=1)(key, shape), theirs(key))


@pytest.mark.parametrize(("name", "size"), [("densenet121", 32), ("adapted_sfcn", 26)])
def test_networks_start_where_their_own_program_starts(name, size):
    network, loss = MODELS[name](), LOSSES["l1"]()
    image, key = jnp.zeros((1, size, size, size, 1)), jax.random.key(5)
    ours = make_task(network, loss).init(key, image)
    theirs = jax.jit(partial(network.init, train=False))(key, image)
    assert jax.tree.structure(ours) == jax.tree.structure(theirs)
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)


def test_densenet_draws_by_few_sizes():
    image = jax.ShapeDtypeStruct((1, 32, 32, 32, 1), jnp.float32)
    init = partial(MODELS["densenet121"]().init, train=False)
    own, fewer = (
        [e.params.get("name") for e in jax.make_jaxpr(f)(jax.random.key(0), image).eqns].count(
            "_draws"
        )
        for f in (init, together(init))
    )
    assert own == 120  # kernels of convolutions
    assert fewer < 10


def test_draws_that_wait_for_one_another_stay_apart():
    def chain(key):
        for _ in range(3):
            key = jax.random.fold_in(key, 1)
        return jax.random.uniform(key), jax.random.uniform(jax.random.fold_in(key, 2))

    key = jax.random.key(1)
    assert [*map(float, together(chain)(key))] == [*map(float, chain(key))]


def test_results_may_be_arguments_constants_or_nothing():
    def mixed(x, *, y):
        del y
        return {"x": x, "two": 2.0, "none": None, "sum": x + jnp.arange(3)}

    got = together(mixed)(jnp.ones(3), y=jnp.zeros(2))
    assert got["none"] is None
    assert float(got["two"]) == 2.0
    assert got["sum"].tolist() == [1, 2, 3]
