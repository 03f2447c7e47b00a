"""Every formulation of the convolution against the platform's own."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fedbrain.models.convolution import (
    FORMULATIONS,
    Geometry,
    conv3d,
    convolve,
    correlate,
    for_convolution,
    for_correlation,
    native,
    onednn,
    pointwise,
    spread,
)

needs_library = pytest.mark.skipif(
    onednn.library() is None, reason="needs oneDNN, which this platform has no package of"
)


@pytest.fixture(params=[pytest.param("oneDNN", marks=needs_library), "pure JAX"])
def kernels(request, monkeypatch):
    """Both ways to compute the three maps."""
    if request.param == "pure JAX":
        monkeypatch.setattr(onednn, "library", lambda: None)
    return request.param


ROOT = Path(__file__).parents[2]
SHAPE = (2, 9, 7, 6)
CHANNELS = [(1, 4), (6, 2)]
GEOMETRIES = [(k, s) for k in (1, 3, 7) for s in (1, 2)]
CHECKS = [
    (name, k, s, c, o)
    for name in FORMULATIONS
    for (k, s) in GEOMETRIES
    for (c, o) in (CHANNELS if k == 3 else CHANNELS[-1:])
    if name != "winograd" or (k, s) == (3, 1)
]


def _arrays(kernel: int, c: int, o: int, seed: int = 0):
    keys = jax.random.split(jax.random.key(seed))
    x = jax.random.normal(keys[0], (*SHAPE, c))
    return x, jax.random.normal(keys[1], (kernel,) * 3 + (c, o)) / (kernel**3 * c) ** 0.5


def _assert_close(ours, theirs, tolerance: float = 2e-5):
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs)):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, atol=tolerance * float(jnp.abs(b).max()))


@cache
def _natively(kernel, stride, c, o):
    """The convolution by the platform's own, and its gradient of the kernel for the cotangent
    cos(y); the same for every formulation.
    """

    @jax.jit
    def both(x, k):
        y, pull = jax.vjp(lambda k: native(x, k, stride), k)
        return y, pull(jnp.cos(y))[0]

    return both(*_arrays(kernel, c, o))


@pytest.mark.parametrize(("name", "kernel", "stride", "c", "o"), CHECKS)
def test_formulation_equals_the_native_one(name, kernel, stride, c, o):
    x, k = _arrays(kernel, c, o)
    ours, ours_correlated = FORMULATIONS[name]
    y, correlated = _natively(kernel, stride, c, o)

    @jax.jit
    def mine(x, k, y):
        return ours(x, k, stride), ours_correlated(x, jnp.cos(y), (kernel,) * 3, stride)

    _assert_close(mine(x, k, y), (y, correlated))


def _gradients(f, kernel, stride):
    """Of first and second order, of a function that is not linear in either argument."""

    def energy(x, k):
        return jnp.sum(jnp.sin(f(x, k, stride)))

    def slope(x, k):
        gx, gk = jax.grad(energy, argnums=(0, 1))(x, k)
        return jnp.sum(jnp.cos(gx)) + jnp.sum(gk**2)

    x, k = _arrays(kernel, 3, 5)
    return [jax.jit(jax.grad(order, argnums=(0, 1)))(x, k) for order in (energy, slope)]


native_gradients = cache(partial(_gradients, native))  # they do not depend on `kernels`


@pytest.mark.parametrize(("kernel", "stride"), GEOMETRIES)
def test_first_and_second_order_gradients(kernels, kernel, stride):
    ours = _gradients(conv3d, kernel, stride)
    for mine, theirs in zip(ours, native_gradients(kernel, stride), strict=True):
        _assert_close(mine, theirs, 1e-4)


def _side_by_side(f, axes, stride):
    """Sum and gradients of all clients, and gradients of each."""
    pairs = [_arrays(3, 2, 4, seed) for seed in range(3)]
    x = jnp.stack([p[0] for p in pairs]) if axes[0] == 0 else pairs[0][0]
    k = jnp.stack([p[1] for p in pairs]) if axes[1] == 0 else pairs[0][1]

    def total(x, k):
        return jnp.sum(jnp.sin(jax.vmap(lambda x, k: f(x, k, stride), axes)(x, k)))

    def one(k, x):
        return jnp.sum(jnp.sin(f(x, k, stride)))

    together = jax.jit(jax.value_and_grad(total, argnums=(0, 1)))(x, k)
    return together, jax.vmap(jax.grad(one), axes[::-1])(k, x)


native_side_by_side = cache(partial(_side_by_side, native))  # does not depend on `kernels`


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("axes", [(0, 0), (0, None), (None, 0)])
def test_clients_side_by_side(kernels, axes, stride):
    """Volumes, kernels or both belong to clients; gradients too."""
    ours = _side_by_side(conv3d, axes, stride)
    for mine, theirs in zip(ours, native_side_by_side(axes, stride), strict=True):
        _assert_close(mine, theirs)


def test_two_maps_of_clients(kernels):
    """Seeds of clients: the inner map shares kernels, the outer one does not."""
    x = jax.random.normal(jax.random.key(0), (2, 3, *SHAPE, 1))
    k = jax.random.normal(jax.random.key(1), (2, 3, 3, 3, 1, 4))
    ours, theirs = (
        jax.vmap(jax.vmap(lambda x, k, f=f: f(x, k, 1), (0, None)))(x, k) for f in (conv3d, native)
    )
    _assert_close(ours, theirs)


@pytest.mark.parametrize("stride", [1, 2])
def test_the_three_maps_are_adjoint(kernels, stride):
    """<convolve(x, k), y> = <x, spread(y, k)> = <k, correlate(x, y)>."""
    x, k = _arrays(3, 3, 4)
    geometry = Geometry(SHAPE[1:], (3, 3, 3), stride)
    y = jnp.cos(native(x, k, stride))
    forward = jnp.vdot(convolve(x, k, geometry), y)
    np.testing.assert_allclose(jnp.vdot(x, spread(y, k, geometry)), forward, rtol=1e-4)
    np.testing.assert_allclose(jnp.vdot(k, correlate(x, y, geometry)), forward, rtol=1e-4)


def test_choices_by_shape():
    """One channel, few positions, a large volume, half precision, a strided stem."""

    def choices(batch, n, c, o, kernel=3, stride=1, dtype="float32"):
        args = (batch, c, o, Geometry((n, n, n), (kernel,) * 3, stride), jnp.dtype(dtype))
        return for_convolution(*args), for_correlation(*args)

    assert choices(4, 64, 1, 32) == ("windows", "windows")
    assert choices(8, 26, 1, 32) == ("patches", "patches")
    assert choices(2, 2, 128, 32) == ("patches", "patches")
    assert choices(2, 8, 128, 32) == ("fold outputs", "patches")
    assert choices(4, 32, 32, 64) == ("winograd", "winograd")
    assert choices(4, 32, 32, 64, dtype="bfloat16") == ("fold inputs", "patches")
    assert choices(2, 64, 1, 64, kernel=7, stride=2) == ("fold inputs", "fold inputs")


def test_scan_remat_and_shard_map(kernels):
    x, k = _arrays(3, 2, 2)
    expected = native(native(x, k, 1), k, 1)
    scanned, _ = jax.lax.scan(
        lambda x, _: (jax.checkpoint(lambda x: conv3d(x, k))(x), None), x, None, length=2
    )
    _assert_close(scanned, expected)
    mesh = jax.make_mesh((2,), ("clients",), axis_types=(jax.sharding.AxisType.Auto,))
    spec = jax.sharding.PartitionSpec("clients")
    sharded = jax.shard_map(
        lambda x: conv3d(conv3d(x, k), k), mesh=mesh, in_specs=spec, out_specs=spec, check_vma=False
    )
    _assert_close(sharded(x), expected)


@needs_library
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_library_computes_in_the_type_of_its_arguments(dtype, stride):
    """bfloat16 is rounded once, at the end; without hardware support pure JAX takes over."""
    x, k = (a.astype(dtype) for a in _arrays(3, 3, 5))

    def run(f):
        y, pull = jax.vjp(lambda x, k: f(x, k, stride), x, k)
        return y, pull(jnp.cos(y))

    ours, theirs = (jax.jit(partial(run, f))() for f in (conv3d, native))
    assert all(a.dtype == jnp.dtype(dtype) for a in jax.tree.leaves(ours))
    as_float = partial(jax.tree.map, lambda a: a.astype(jnp.float32))
    _assert_close(as_float(ours), as_float(theirs), 2e-5 if dtype == "float32" else 1e-2)


@needs_library
def test_float64_stays_in_pure_jax():
    call = onednn.Call("convolve", (1, 4, 4, 4, 2), (3, 3, 3, 2, 2), (1, 4, 4, 4, 2), 1, "float64")
    assert not onednn.runs(call)
    assert onednn.runs(call._replace(dtype="float32"))


@needs_library
def test_a_failure_of_the_library_is_an_error_of_the_computation(monkeypatch):
    x, k = _arrays(3, 2, 3)
    run = jax.jit(lambda x, k: conv3d(x, k))
    run(x, k).block_until_ready()
    monkeypatch.setattr(onednn, "plan", lambda call: None)
    with pytest.raises(Exception, match="oneDNN has no plan"):
        run(x, k).block_until_ready()


@needs_library
def test_many_threads_convolve_at_once():
    pairs = [_arrays(3, 2, 4, seed) for seed in range(4)]
    run = jax.jit(lambda x, k: conv3d(conv3d(x, k), k.swapaxes(3, 4)))
    expected = [native(native(x, k, 1), k.swapaxes(3, 4), 1) for x, k in pairs]
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda i: run(*pairs[i % 4]), range(200)))
    for i, y in enumerate(results):
        _assert_close(y, expected[i % 4])


@needs_library
def test_a_program_that_ends_in_the_middle_of_a_computation_ends():
    """Without waiting, XLA would wait for an interpreter that is gone."""
    program = """
import jax, jax.numpy as jnp, sys
from fedbrain.models.convolution import conv3d
x, k = jnp.ones((1, 24, 24, 24, 16)), jnp.ones((3, 3, 3, 16, 16))
chain = jax.jit(lambda x, k: jax.lax.fori_loop(0, 40, lambda i, x: conv3d(x, k) * 1e-3, x))
chain(x, k).block_until_ready()
y = chain(x, k)
sys.exit(3)
"""
    assert (
        subprocess.run(
            [sys.executable, "-c", program], cwd=ROOT, timeout=60, check=False
        ).returncode
        == 3
    )


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
def test_a_program_for_another_platform_has_its_convolutions(platform):
    """It is lowered for that platform, here, where the default backend is a CPU."""
    x, k = _arrays(3, 2, 2)

    def slope(x, k):
        return jax.grad(lambda x, k: jnp.sum(jnp.sin(conv3d(x, k))), argnums=(0, 1))(x, k)

    for f, args in [(slope, (x, k)), (jax.vmap(slope), (jnp.stack([x, x]), jnp.stack([k, k])))]:
        text = jax.jit(f).trace(*args).lower(lowering_platforms=(platform,)).as_text()
        assert text.count("stablehlo.convolution") == 3
        assert "fedbrain_onednn" not in text


@pytest.mark.parametrize("edge", [4, 9])  # fewer voxels than oneDNN is for, and more
def test_the_same_product_at_every_voxel(kernels, edge):
    keys = jax.random.split(jax.random.key(1))
    x, k = jax.random.normal(keys[0], (2, edge, edge, edge, 5)), jax.random.normal(keys[1], (5, 3))

    def slope(product, x, k):
        return jax.grad(lambda x, k: jnp.sum(jnp.sin(product(x, k))), argnums=(0, 1))(x, k)

    for product in (partial(slope, pointwise), jax.jit(partial(slope, pointwise))):
        _assert_close(product(x, k), slope(jnp.matmul, x, k))
    clients = jnp.stack([x, 2 * x]), jnp.stack([k, -k])
    each = [slope(jnp.matmul, *client) for client in zip(*clients)]
    _assert_close(
        jax.vmap(partial(slope, pointwise))(*clients), jax.tree.map(lambda *a: jnp.stack(a), *each)
    )


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
def test_on_another_platform_it_is_a_matrix_product(platform):
    x, k = jnp.ones((1, 8, 8, 8, 2)), jnp.ones((2, 3))
    text = jax.jit(pointwise).trace(x, k).lower(lowering_platforms=(platform,)).as_text()
    assert "stablehlo.dot_general" in text
    assert "convolution" not in text
