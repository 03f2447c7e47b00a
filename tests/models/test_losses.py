"""Losses against closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fedbrain.models.losses import LOSSES, cross_entropy, huber, l1, l2, soft_bins


@pytest.mark.parametrize("name", LOSSES)
def test_contract(name):
    """Per-example, finite, with a finite gradient at the target; predictions in target units, or
    probabilities.
    """
    loss = LOSSES[name]()
    output = jax.random.normal(jax.random.key(0), (5, loss.outputs))
    target = jnp.linspace(43.0, 81.0, 5)
    assert loss.per_example(output, target).shape == (5,)
    assert loss.predict(output).shape == ((5, loss.outputs) if loss.classes else (5,))
    gradient = jax.grad(lambda o: loss.per_example(o, target).sum())(output)
    assert jnp.isfinite(gradient).all()


def test_values():
    output, target = jnp.asarray([[2.0], [-1.0]]), jnp.asarray([50.0, 50.0])
    np.testing.assert_allclose(l1(50.0, 10.0).per_example(output, target), [20, 10])
    np.testing.assert_allclose(l2(50.0, 10.0).per_example(output, target), [200, 50])
    np.testing.assert_allclose(
        huber(15.0, 50.0, 10.0).per_example(output, target), [15 * (20 - 7.5), 50]
    )


def test_soft_bins_is_zero_at_the_target_distribution():
    """With q = p the divergence vanishes, and the expected bin centre is the target."""
    loss = soft_bins(0.0, 40.0, 1.0, 1.5)
    edges = jnp.arange(41.0)
    target = jnp.asarray([20.3])
    p = jnp.diff(jax.scipy.stats.norm.cdf(edges, target[0], 1.5))
    logits = jnp.log(jnp.clip(p, min=1e-30))[None]
    np.testing.assert_allclose(loss.per_example(logits, target), 0, atol=1e-5)
    np.testing.assert_allclose(loss.predict(logits), target, atol=1e-2)


def test_soft_bins_far_outside_the_range_stays_finite():
    loss = soft_bins()
    assert jnp.isfinite(loss.per_example(jnp.zeros((2, 40)), jnp.asarray([-300.0, 300.0]))).all()


@pytest.mark.parametrize(
    "make",
    [
        lambda: l1(scale=0.0),
        lambda: huber(-1.0),
        lambda: soft_bins(0.0, 1.5, 1.0),
        lambda: cross_entropy(1),
        lambda: cross_entropy(("F", "F")),
        lambda: cross_entropy(("F", "M\tX")),
    ],
)
def test_nonsense_is_refused(make):
    with pytest.raises(ValueError, match="Expected"):
        make()


def test_cross_entropy_by_hand():
    loss = cross_entropy(3)
    output, target = jnp.asarray([[0.0, 0.0, 0.0], [5.0, 0.0, 1.0]]), jnp.asarray([2.0, 0.0])
    np.testing.assert_allclose(
        loss.per_example(output, target),
        [np.log(3), np.log(1 + np.exp(-5) + np.exp(-4))],
        rtol=1e-5,
    )
    shares = np.exp([[0, 0, 0], [5, 0, 1]])
    shares /= shares.sum(1, keepdims=True)
    np.testing.assert_allclose(loss.predict(output), shares, rtol=1e-5)


def test_classes_have_the_order_of_their_names():
    assert cross_entropy(3).classes == ("0", "1", "2")
    assert cross_entropy(("F", "M"))[3:] == (("F", "M"),)
