"""Sampling axis by axis, against closed forms and against scipy's sampling of all axes at once."""

import numpy as np
import pytest
from scipy import ndimage

from fedbrain.data.field_of_view import histogram, upper_quantile
from fedbrain.data.resampling import sample_axis, sample_grid, taps_of


def scipy_grid(data, zoom, start, shape, beyond):
    """The same by a Gaussian filter and an affine transform."""
    if (zoom > 1).any():
        mode = "nearest" if beyond == "edge" else "constant"
        data = ndimage.gaussian_filter(data, np.maximum(0, 0.5 * (zoom - 1)), mode=mode)
    mode = "nearest" if beyond == "edge" else "grid-constant"
    return ndimage.affine_transform(data, zoom, start, shape, order=1, mode=mode, prefilter=False)


@pytest.mark.parametrize("beyond", ["edge", "zero"])
@pytest.mark.parametrize("seed", range(20))
def test_it_is_scipys_gaussian_and_interpolation(seed, beyond):
    """Grids that grow and shrink along each axis, and that reach beyond the data on each side."""
    rng = np.random.default_rng(seed)
    data = rng.random(rng.integers(1, 40, 3), dtype=np.float32)
    zoom = rng.uniform(0.3, 6, 3)
    shape = tuple(map(int, rng.integers(1, 30, 3)))
    start = rng.uniform(-10, 20, 3)
    expected = scipy_grid(data, zoom, start, shape, beyond)
    np.testing.assert_allclose(
        sample_grid(data, zoom, start, shape, beyond), expected, atol=2e-6, rtol=0
    )


def test_a_ramp_is_sampled_exactly():
    """Also where voxels grow: a symmetric filter leaves a straight line as it is."""
    ramp = np.arange(64, dtype=np.float32)[None, None]
    places = 20 + 3.0 * np.arange(8)
    sampled = sample_axis(ramp, 2, taps_of(64, 8, 3.0, 20.0, "edge"))
    np.testing.assert_allclose(sampled.ravel(), places, rtol=1e-6)


def test_zeros_lie_beyond_the_data():
    """A new voxel half a voxel outside is half a voxel of the edge."""
    ones = np.ones((1, 1, 4), np.float32)
    sampled = sample_axis(ones, 2, taps_of(4, 7, 1.0, -1.5, "zero"))
    assert sampled.ravel().tolist() == [0, 0.5, 1, 1, 1, 0.5, 0]


def test_the_data_are_left_as_they_are():
    data = np.ones((3, 3, 3), np.float32)
    out = sample_grid(data, np.ones(3), np.zeros(3), (3, 3, 3), "edge")
    out += 1
    assert (data == 1).all()


@pytest.mark.parametrize("seed", range(5))
def test_histogram_and_quantile_are_numpys(seed):
    rng = np.random.default_rng(seed)
    for values in (
        rng.normal(size=5000).astype(np.float32),
        rng.integers(0, 769, 5000).astype(np.float32),  # grey values on the edges of bins
        np.where(rng.random(5000) < 0.99, 0, 1e6).astype(np.float32),
        rng.random(3).astype(np.float32),
    ):
        counts, edges = np.histogram(values, 256)
        np.testing.assert_allclose(histogram(values, 256)[0], counts)
        np.testing.assert_allclose(histogram(values, 256)[1], edges, rtol=1e-6, atol=1e-7)
        assert upper_quantile(values, 0.005) == pytest.approx(np.quantile(values, 0.995), rel=1e-6)
