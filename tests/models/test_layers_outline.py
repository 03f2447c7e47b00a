"""Sizes of layers, from shapes alone, against those of a forward pass."""

import jax
import jax.numpy as jnp

from fedbrain.models import MODELS, Frozen
from fedbrain.models.layers_outline import fewest_voxels, layers_of
from fedbrain.models.losses import l1
from fedbrain.models.task import make_task
from tests import tiny


def outlined(task, shape=tiny.SHAPE):
    image = jnp.zeros((1, *shape, 1))
    variables = jax.eval_shape(lambda: task.init(jax.random.key(0), image))
    return layers_of(task, variables, tiny.example(shape=shape))


def test_convolutions_by_hand():
    layers = {layer.name: layer for layer in outlined(tiny.task(channels=(4, 8, 8)))}  # batch of 4
    assert list(layers) == ["conv1", "norm1", "conv2", "norm2", "conv3", "norm3", "head"]
    assert layers["conv1"].operations == 2 * (4 * 8**3) * (27 * 1 * 4)
    assert layers["conv2"].operations == 2 * (4 * 4**3) * (27 * 4 * 8)
    assert layers["conv3"].operations == 2 * (4 * 2**3) * (8 * 8)
    assert layers["head"].operations == 2 * 4 * 8
    assert layers["conv1"].values == 4 * 8**3 * 4
    assert [layers[f"norm{i}"].voxels for i in (1, 2, 3)] == [8**3, 4**3, 2**3]
    assert fewest_voxels(list(layers.values())) == 8


def test_tracing_again_gives_the_same():
    assert outlined(tiny.task()) == outlined(tiny.task())


def test_a_network_without_batch_statistics():
    assert fewest_voxels(outlined(tiny.task(norm="group"))) == 0


def test_frozen_statistics_do_not_count():
    network = MODELS["adapted_sfcn"](channels=(4, 8, 8))
    only_second = make_task(Frozen(network, lambda c, path: "norm2" in path), l1())
    layers = outlined(only_second)
    assert {layer.name: layer.voxels for layer in layers if layer.voxels} == {"norm2": 4**3}


def test_densenets_smallest_map():
    assert fewest_voxels(outlined(tiny.task("densenet121"), (32, 32, 64))) == 2
