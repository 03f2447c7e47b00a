"""Server optimisers as published, and uploads."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from fedbrain.algorithms.optimizers import SERVER_OPTIMIZERS, UPLOADS
from fedbrain.experiments.spec import call

D = np.random.default_rng(0).normal(0, 1, (8, 5))  # directions of eight rounds


def travel(optimizer):
    with jax.enable_x64(True):
        w = jnp.zeros(5)
        state = optimizer.init(w)
        path = []
        for d in D:
            step, state = optimizer.update(jnp.asarray(d), state, w)
            w = w + step
            path.append(np.asarray(w))
        return np.stack(path)


def published(kind, eta, b1, b2, tau, v0=0.0, correction=None):
    """Reddi et al., algorithm 2, as a loop."""
    w, m, v, path = np.zeros(5), np.zeros(5), np.full(5, v0), []
    for t, d in enumerate(D):
        delta = -d
        m = b1 * m + (1 - b1) * delta
        s = delta**2
        v = {
            "fedadagrad": v + s,
            "fedadam": b2 * v + (1 - b2) * s,
            "fedyogi": v - (1 - b2) * s * np.sign(v - s),
        }[kind]
        factor = (
            1.0
            if correction is None
            else np.sqrt(1 - b2 ** (t + correction)) / (1 - b1 ** (t + correction))
        )
        w = w + eta * factor * m / (np.sqrt(v) + tau)
        path.append(w)
    return np.stack(path)


@pytest.mark.parametrize(("kind", "b1"), [("fedadagrad", 0.0), ("fedadam", 0.9), ("fedyogi", 0.9)])
@pytest.mark.parametrize("v0", [0.0, 1e-6])
def test_adaptive_optimisers_are_as_published(kind, b1, v0):
    got = travel(SERVER_OPTIMIZERS[kind](0.1, v0=v0))
    np.testing.assert_allclose(got, published(kind, 0.1, b1, 0.99, 1e-3, v0), rtol=1e-10)


def test_kingma_is_optax_and_flower_is_off_by_one():
    kingma = travel(SERVER_OPTIMIZERS["fedadam"](0.1, b2=0.999, tau=1e-8, correction=1))
    # optax divides v by 1 - b2^t before it adds epsilon: the same up to epsilon
    np.testing.assert_allclose(kingma, travel(optax.adam(0.1, b2=0.999, eps=1e-12)), rtol=1e-4)
    flower = travel(SERVER_OPTIMIZERS["fedadam"](0.1, correction=2))
    np.testing.assert_allclose(
        flower, published("fedadam", 0.1, 0.9, 0.99, 1e-3, correction=2), rtol=1e-10
    )
    assert np.abs(flower - travel(SERVER_OPTIMIZERS["fedadam"](0.1))).max() > 0.05


def test_yogi_with_small_second_moments_is_adagrad():
    """With v < d^2 all along, v = (1 - b2) sum d^2: FLamby's two columns are one algorithm."""
    b2 = 0.999
    yogi = travel(SERVER_OPTIMIZERS["fedyogi"](0.01, b2=b2, tau=1e-12))
    adagrad = travel(SERVER_OPTIMIZERS["fedadagrad"](0.01 / np.sqrt(1 - b2), b1=0.9, tau=1e-12))
    small = (np.cumsum(D**2, 0) * (1 - b2) < D**2).all(0)
    assert small.any()
    np.testing.assert_allclose(yogi[:, small], adagrad[:, small], rtol=1e-6)


def test_momentum_and_schedules():
    b, w = np.zeros(5), np.zeros(5)
    for d in D:
        b = 0.9 * b + d
        w = w - 0.7 * (d + 0.9 * b)
    np.testing.assert_allclose(travel(SERVER_OPTIMIZERS["diloco"]())[-1], w, rtol=1e-10)
    lengths = np.linalg.norm(
        np.diff(travel(SERVER_OPTIMIZERS["scheduled"](1.0, 6, warmup=2)), axis=0, prepend=0), axis=1
    )
    rates = lengths / np.linalg.norm(D, axis=1)
    np.testing.assert_allclose(
        rates[:4], [1 / 3, 2 / 3, 1, 0.5 * (1 + np.cos(np.pi / 4))], rtol=1e-6
    )
    np.testing.assert_allclose(rates[6:], 0, atol=1e-7)


@pytest.mark.parametrize(
    "spec",
    ["fedadam(0.0)", "fedadam(0.1, tau=0.0)", "scheduled(1.0, 0)", "scheduled(1.0, 5, 'no')"],
)
def test_impossible_optimisers_are_refused(spec):
    with pytest.raises(ValueError, match="Expected"):
        call(spec, SERVER_OPTIMIZERS)


@pytest.mark.parametrize("name", UPLOADS)
def test_uploads_lose_little_over_rounds(name):
    """The sum of what arrived is the sum of what was meant: feedback makes good, random rounding
    averages out.
    """
    link, p, rounds = UPLOADS[name](), 2000, 60
    x = jax.random.normal(jax.random.key(0), (p,)) * jnp.linspace(0.1, 2, p)
    state, total = link.init(x), jnp.zeros(p)
    step = jax.jit(lambda s: link.update(x, s))
    for _ in range(rounds):
        sent, state = step(state)
        total = total + sent
    error = float(jnp.linalg.norm(total / rounds - x) / jnp.linalg.norm(x))
    assert error < {
        "identity": 1e-6,
        "bfloat16": 3e-3,
        "int8": 2e-3,
        "int8_with_feedback": 4e-4,
    }.get(name, 0.2)


def test_what_is_sent_is_small():
    x = jnp.asarray(np.random.default_rng(0).normal(size=1000), jnp.float32)
    sent = {
        name: np.asarray(UPLOADS[name]().update(x, UPLOADS[name]().init(x))[0]) for name in UPLOADS
    }
    assert (sent["top_k"] != 0).sum() == 100
    assert len(np.unique(np.abs(sent["scaled_sign"]))) == 1
    blocks = np.pad(sent["int8"], (0, 24)).reshape(4, 256)
    step = np.pad(np.asarray(x), (0, 24)).reshape(4, 256)
    step = np.abs(step).max(1, keepdims=True) / 127
    np.testing.assert_allclose(blocks / step, np.round(blocks / step), atol=1e-3)
    assert np.abs(blocks / step).max() < 127.5
