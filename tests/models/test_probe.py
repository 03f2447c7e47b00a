"""A layer alone is measured on as much of its input as takes a moment."""

import pytest

from fedbrain.models.layers_outline import Layer
from fedbrain.models.probe import MOST_OPERATIONS, costliest, probe_of


def conv(batch, edge, channels, features, kernel=3, stride=1):
    out = batch * (edge // stride) ** 3
    operations = 2 * out * kernel**3 * channels * features
    shape = (batch, edge, edge, edge, channels)
    return Layer("conv", out * features, operations, 0, shape, (kernel,) * 3 + (channels, features))


@pytest.mark.parametrize(
    "layer", [conv(2, 8, 1, 4), conv(8, 128, 1, 64, kernel=7, stride=2), conv(16, 64, 32, 64)]
)
def test_a_large_layer_is_cut(layer):
    probe = probe_of(layer)
    assert probe.operations <= min(layer.operations, 1.5 * MOST_OPERATIONS)
    x, kernel = probe.arguments
    assert kernel.shape == layer.kernel
    assert all(a <= b for a, b in zip(x.shape, layer.input))
    share = x.size / (layer.input[0] * layer.input[1] ** 3 * layer.input[4])
    assert probe.operations == pytest.approx(layer.operations * share)


def test_the_costliest():
    small, large = conv(2, 8, 1, 4), conv(2, 8, 4, 4)
    assert costliest([small, large]) is large
