"""Contracts of every network and of its layers."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fedbrain.models import MODELS
from fedbrain.models.densenet import DenseNet
from fedbrain.models.normalisation import standardise
from fedbrain.models.pooling import avg_pool, max_pool

SMALL = {
    "densenet121": ({}, 32),
    "sfcn": ({}, 32),
    "adapted_sfcn": ({}, 12),
    "tissue_shares": ({}, 12),
}


def _init(module, image):
    return jax.jit(partial(module.init, train=False))(jax.random.key(0), image)


def test_every_network_has_a_contract():
    assert set(SMALL) == set(MODELS)


@pytest.mark.parametrize("norm", ["batch", "group"])
@pytest.mark.parametrize("name", SMALL)
def test_shapes_and_precision(name, norm):
    """Outputs and parameters are float32 in either compute precision."""
    arguments, n = SMALL[name]
    image = jnp.zeros((2, n, n + 3, n, 1))
    for dtype in ("float32", "bfloat16"):
        module = MODELS[name](**arguments, norm=norm, dtype=dtype, outputs=3)
        out, variables = jax.eval_shape(
            partial(module.init_with_output, train=False), jax.random.key(0), image
        )
        assert all(x.dtype == jnp.float32 for x in jax.tree.leaves(variables))
        assert ("batch_stats" in variables) == (norm == "batch")
        assert (out.shape, out.dtype) == ((2, 3), jnp.float32)


@pytest.mark.parametrize("name", SMALL)
def test_too_small_an_image_is_one_sentence(name):
    with pytest.raises(ValueError, match="expected every image axis >="):
        _init(MODELS[name](), jnp.zeros((1, 3, 64, 64, 1)))


def test_masked_examples_do_not_touch_batch_statistics():
    module = MODELS["adapted_sfcn"](channels=(4, 8), dropout=0.0)
    image = jax.random.normal(jax.random.key(1), (4, 8, 8, 8, 1))
    dirty = jnp.concatenate([image, jnp.full((2, 8, 8, 8, 1), 1e4)])
    variables = _init(module, image)
    train = jax.jit(partial(module.apply, train=True, mutable=["batch_stats"]))
    clean, state = train(variables, image)
    padded, other = train(variables, dirty, mask=jnp.asarray([1.0, 1, 1, 1, 0, 0]))
    np.testing.assert_allclose(padded[:4], clean, rtol=1e-4, atol=1e-5)
    for a, b in zip(jax.tree.leaves(state), jax.tree.leaves(other)):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_bfloat16_is_close_to_float32():
    image = jax.random.normal(jax.random.key(1), (2, 16, 16, 16, 1))
    modules = [MODELS["adapted_sfcn"](norm="group", dtype=d) for d in ("float32", "bfloat16")]
    variables = _init(modules[0], image)
    full, half = (jax.jit(partial(m.apply, train=False))(variables, image) for m in modules)
    np.testing.assert_allclose(full, half, atol=0.05 * float(jnp.abs(full).max()) + 0.02)


def test_pooling_by_hand():
    x = jnp.arange(5 * 4 * 4, dtype=jnp.float32).reshape(1, 5, 4, 4, 1)
    np.testing.assert_array_equal(
        max_pool(x)[0, :, :, :, 0], [[[21, 23], [29, 31]], [[53, 55], [61, 63]]]
    )
    np.testing.assert_allclose(
        avg_pool(x)[0, :, :, :, 0], [[[10.5, 12.5], [18.5, 20.5]], [[42.5, 44.5], [50.5, 52.5]]]
    )
    assert max_pool(x, 3, stride=2, pad=1).shape == (1, 3, 2, 2, 1)


@pytest.mark.parametrize(
    ("shape", "size", "stride", "pad"),
    [((9, 8, 7), 3, 2, 1), ((9, 7, 6), 2, 2, 0), ((9, 8, 10), 2, 3, 0)],
)
def test_pooling_and_its_gradient_equal_the_native_ones(shape, size, stride, pad):
    x = jax.random.normal(jax.random.key(0), (2, *shape, 3))

    def ours(x):
        return max_pool(x, size, stride=stride, pad=pad)

    def theirs(x):
        padding = ((0, 0), *((pad, pad),) * 3, (0, 0))
        return jax.lax.reduce_window(
            x, -jnp.inf, jax.lax.max, (1, *(size,) * 3, 1), (1, *(stride,) * 3, 1), padding
        )

    np.testing.assert_array_equal(ours(x), theirs(x))
    slopes = [jax.grad(lambda x, f=f: jnp.sum(jnp.sin(3 * f(x))))(x) for f in (ours, theirs)]
    np.testing.assert_allclose(*slopes, atol=1e-5)


def test_equal_voxels_share_the_gradient_of_their_maximum():
    """A constant background is one tie after the other; the shares add up to 1."""
    for pool in (max_pool, lambda x: max_pool(x, 3, stride=2, pad=1)):
        gradient = jax.grad(lambda x, f=pool: jnp.sum(f(x)))(jnp.zeros((1, 8, 8, 8, 1)))
        assert float(gradient.sum()) == pytest.approx(64)
        assert float(gradient.max()) <= 1.0


def test_batch_normalisation_goes_back_as_autodiff_would():
    """The closed form against the derivative of the definition, of first and second order."""
    rng = np.random.default_rng(0)
    x, scale, bias = (
        3 + rng.standard_normal((3, 4, 3, 2, 5)),
        rng.standard_normal(5),
        rng.standard_normal(5),
    )
    weight = np.asarray([1.0, 0, 1])

    def plain(x, scale, bias):
        w = weight.reshape(-1, 1, 1, 1, 1)
        mean = (x * w).sum((0, 1, 2, 3)) / (2 * 24)
        variance = ((x - mean) ** 2 * w).sum((0, 1, 2, 3)) / (2 * 24)
        return scale * (x - mean) / jnp.sqrt(variance + 1e-5) + bias

    def ours(x, scale, bias):
        return standardise(x, weight, scale, bias, 1e-5)[0]

    def slope(f, *args):
        return sum(
            jnp.sum(g**2)
            for g in jax.grad(lambda *a: jnp.sum(f(*a) ** 3), argnums=(0, 1, 2))(*args)
        )

    with jax.enable_x64(True):
        arguments = [jnp.asarray(a) for a in (x, scale, bias)]
        weight = jnp.asarray(weight)
        for f in (lambda f, *a: jnp.sum(f(*a) ** 3), slope):
            a, b = (jax.grad(partial(f, g), argnums=(0, 1, 2))(*arguments) for g in (ours, plain))
            for u, v in zip(a, b):
                np.testing.assert_allclose(u, v, rtol=1e-9, atol=1e-9 * float(jnp.abs(v).max()))


def test_computing_layers_anew_changes_nothing():
    """Same variables, same gradients, same running statistics."""
    plain, anew = (
        DenseNet(blocks=(1, 1), growth=4, init_features=8, bottleneck=2, remat=r)
        for r in (False, True)
    )
    image = jax.random.normal(jax.random.key(0), (2, 29, 29, 29, 1))
    variables = _init(plain, image)
    assert jax.tree.structure(variables) == jax.tree.structure(
        jax.eval_shape(lambda: _init(anew, image))
    )

    def step(module):
        def loss(params):
            out, state = module.apply(
                {**variables, "params": params}, image, train=True, mutable=["batch_stats"]
            )
            return (out**2).sum(), state

        return jax.jit(jax.grad(loss, has_aux=True))(variables["params"])

    for a, b in zip(jax.tree.leaves(step(plain)), jax.tree.leaves(step(anew))):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5 * float(1 + jnp.abs(a).max()))
