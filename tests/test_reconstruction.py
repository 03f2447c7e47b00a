"""What `python -m benchmarks.reconstruction` reads, in cases where it is known."""

import numpy as np
import pytest

from benchmarks.reconstruction import (
    People,
    mean_of,
    predicted,
    read,
    score,
    trap,
    update_of,
)
from fedbrain.algorithms.private import dp_fedsgd

ROWS, VOXELS, MEDIAN = 16, 60, 50.0


def people(count, seed):
    rng = np.random.default_rng(seed)
    images = rng.uniform(0, 1, (count, VOXELS)) + np.linspace(0, 1, count)[:, None]
    return People(images.astype(np.float32), rng.uniform(20, 80, count).astype(np.float32))


@pytest.fixture(scope="module")
def model():
    return trap(people(200, 0), ROWS)


def test_one_person_in_one_step_is_read_exactly(model):
    one = people(1, 1)
    found = read(update_of(model, one, batch=1, mechanism=None))
    [told] = score(model, one, found, 1, MEDIAN)
    assert told.error < 1e-3
    assert told.correlation > 0.9999
    assert told.years < 0.1
    assert predicted(model, one.images[0]) != MEDIAN


def test_people_between_two_thresholds_are_read_as_their_mixture(model):
    """Nobody alone: the image is a mean, weighted by errors of prediction."""
    one = people(1, 1)
    twins = People(np.stack([one.images[0]] * 2), np.array([30.0, 70.0], np.float32))
    found = read(update_of(model, twins, batch=2, mechanism=None))
    [told] = score(model, one, found, 2, MEDIAN)
    assert told.error < 1e-2  # both have this image
    assert told.years > 5  # and neither this age


def test_a_sum_of_sites_is_read_as_one_large_site(model):
    sites = [people(3, seed) for seed in (2, 3)]
    both = People(*(np.concatenate(x) for x in zip(*sites)))
    summed = mean_of([update_of(model, s, batch=3, mechanism=None) for s in sites])
    whole = update_of(model, both, batch=6, mechanism=None)
    np.testing.assert_allclose(
        summed["hidden0"]["kernel"], whole["hidden0"]["kernel"], rtol=1e-3, atol=1e-7
    )


def test_noise_leaves_nothing_to_read(model):
    site = people(5, 4)
    noisy = update_of(model, site, batch=5, mechanism=dp_fedsgd(8.0, 1.0, 30.0))
    scores = score(model, site, read(noisy), 5, MEDIAN)
    assert max(s.correlation for s in scores) < 0.9
    assert min(s.error for s in scores) > 0.5
