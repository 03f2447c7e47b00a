"""Intensities of sites: closed forms of shifted Gaussians, intervals that cover, a floor."""

import numpy as np
import pytest

from fedbrain.analysis.intensities import (
    LEVELS,
    compare,
    distance,
    floor,
    interval,
    of_scan,
    of_site,
)


def _scans(shift, people, seed, spread=0.0):
    rng = np.random.default_rng(seed)
    volumes = []
    for _ in range(people):
        volume = np.zeros((24, 24, 24, 1), np.float32)
        inside = rng.normal(shift + spread * rng.normal(), 1, (16, 16, 16, 1))
        volume[4:20, 4:20, 4:20] = inside
        volumes.append(volume)
    return of_site(volumes, [f"sub-{k}" for k in range(people)], 0)


def test_the_distance_of_shifted_gaussians_is_the_shift():
    a, b = _scans(0, 20, 0), _scans(0.5, 20, 1)
    assert distance(a, b) == pytest.approx(0.5, abs=0.02)
    assert distance(a, a + 0.5) == pytest.approx(0.5, abs=1e-12)
    assert distance(a, a) == 0


@pytest.mark.parametrize("shift", [0.0, 0.05, 0.2, 1.0])
def test_the_interval_covers(shift):
    """People's curves lie 0.2 apart (SD), so that the smallest shifts are within chance."""
    covered = 0
    for k in range(60):
        a, b = (_curves(k, m) for m in (0.0, shift))
        low, high = interval(a, b)
        covered += low <= shift <= high
    assert covered >= 53


def test_equal_sites_are_below_the_floor_and_others_above():
    below = sum(distance(a, b) <= floor(a, b) for a, b in (_pair(k, 0.0) for k in range(60)))
    assert below >= 52
    assert all(distance(a, b) > floor(a, b) for a, b in (_pair(k, 1.0) for k in range(10)))


def _curves(seed, mean):
    rng = np.random.default_rng((seed, round(100 * mean)))
    return np.repeat(rng.normal(mean, 0.2, (25, 1)), len(LEVELS), 1)


def _pair(k, shift):
    return _curves(k, 0.0), _curves(1000 + k, shift)


def test_background_and_missing_modalities_do_not_count():
    head = np.random.default_rng(0).normal(-2, 0.05, (20, 20, 20))
    head[5:15, 5:15, 5:15] += 3
    assert of_scan(head).min() > 0
    assert np.isnan(of_scan(np.zeros((4, 4, 4)))).all()
    assert of_site([np.zeros((4, 4, 4, 1))], ["sub-1"], 0).shape == (0, len(LEVELS))


def test_small_sites_are_left_out():
    told = compare({"a": _scans(0, 6, 0), "b": _scans(1, 6, 1), "c": _scans(0, 2, 2)})
    assert list(told["sites"]) == ["a", "b"]
    assert list(told["distances"]) == ["a - b"]
