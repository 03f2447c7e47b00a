"""Test-time views: a scan and its mirror image have the same average."""

import numpy as np
import pytest

from fedbrain.configs import base
from fedbrain.data.augment import apply
from fedbrain.data.dataset import Scans
from fedbrain.data.views import averaged, plain
from fedbrain.experiments.config import read_experiment
from fedbrain.experiments.predict_scans import predict_scans
from fedbrain.training.evaluate import make_evaluate
from tests.tiny import brain, variables


def _scans(flip=False):
    volumes = [brain(i, (8, 8, 8)).astype(np.float32)[..., None] / 100 for i in range(5)]
    volumes = [np.ascontiguousarray(v[::-1]) for v in volumes] if flip else volumes
    ids = tuple("abcde")
    return Scans(ids, ids, np.zeros(5, np.float32), volumes)


def test_views_are_shifts_and_mirror_images():
    image = _scans().volumes[0]
    [same] = plain()
    np.testing.assert_array_equal(apply(image, same, turns=False), image)
    every = [apply(image, view, turns=False) for view in averaged(flip=True, shift=1)]
    assert len(every) == 14
    assert len({v.tobytes() for v in every}) == 14
    np.testing.assert_array_equal(every[7], image[::-1])
    np.testing.assert_array_equal(every[1][1:], image[:-1])
    assert len(averaged(flip=False, shift=0)) == 1
    with pytest.raises(ValueError, match="Expected shift=-1 >= 0"):
        averaged(shift=-1)


def test_a_prediction_over_mirror_images_does_not_know_left_from_right():
    config = base.get_config()
    config.sites = {"a": "synthetic('amber', subjects=1)"}
    config.model = "adapted_sfcn(channels=(4, 8), dropout=0.0)"
    config.client.batch_size = 2
    one = read_experiment(config)
    config.views = "averaged(flip=True)"
    both = read_experiment(config)
    evaluate, v = make_evaluate(one.task), variables(one.task)
    left, right = (predict_scans(evaluate, v, _scans(flip), one) for flip in (False, True))
    assert np.abs(left - right).max() > 1e-4
    left2, right2 = (predict_scans(evaluate, v, _scans(flip), both) for flip in (False, True))
    np.testing.assert_allclose(left2, (left + right) / 2, rtol=1e-5)
    np.testing.assert_allclose(left2, right2, rtol=1e-5)
