"""Sampling onto the grid in MNI space, and the template."""

import numpy as np
import pytest

from fedbrain.preprocessing.sampling import sample, sample_brain
from fedbrain.preprocessing.template import Grid, brain_on, template


def test_a_linear_ramp_stays_one_wherever_the_grid_lies():
    index = np.moveaxis(np.indices((12, 14, 16)).astype(np.float32), 0, -1)
    to_mni = np.diag([2.0, 2.0, 2.0, 1.0])
    to_mni[:3, 3] = (-10, 5, 3)
    grid = Grid(1.0, (5, 6, 7), (2.0, 20.0, 19.0))
    places = np.moveaxis(np.indices(grid.shape), 0, -1) @ grid.affine[:3, :3] + grid.affine[:3, 3]
    for axis in range(3):
        sampled = sample(np.ascontiguousarray(index[..., axis]), to_mni, grid)
        expected = (places[..., axis] - to_mni[axis, 3]) / 2
        np.testing.assert_allclose(sampled, expected, atol=1e-4)


@pytest.mark.parametrize("growth", [0.5, 1.0, 2.0, 3.0])
def test_the_rim_of_a_brain_is_not_darkened_by_the_zeros_around_it(growth):
    grey = np.zeros((24, 24, 24), np.float32)
    grey[6:18, 6:18, 6:18] = 100.0
    grid = Grid(growth, (int(20 / growth),) * 3, (11.5, 11.5, 11.5))
    image, inside = sample_brain(grey, grey > 0, np.eye(4), grid)
    assert inside.sum() * growth**3 == pytest.approx(12**3, rel=0.2)
    np.testing.assert_allclose(image[inside], 100.0, rtol=1e-5)
    assert not image[~inside].any()


def test_beyond_the_image_there_is_nothing():
    grid = Grid(1.0, (4, 4, 4), (100.0, 0.0, 0.0))
    assert not sample(np.ones((5, 5, 5), np.float32), np.eye(4), grid).any()


def test_the_template_has_the_volume_of_a_brain_and_lies_in_mni_space():
    head, brain, affine = template()
    assert 1700 < (brain > 0.5).sum() * np.prod(np.diag(affine)[:3]) / 1000 < 2000  # mL, with CSF
    assert head.shape == brain.shape
    np.testing.assert_array_equal(brain_on(head.shape, affine), brain > 0.5)
    anterior_commissure = np.linalg.inv(affine) @ [0, 0, 0, 1]
    assert brain[tuple(anterior_commissure[:3].round().astype(int))] == 1
