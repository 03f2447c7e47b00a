"""A round that is too large for memory lies in files, with the same bits; a full disk is said."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from fedbrain.deploy.protocol.wire import Envelope, Message
from fedbrain.deploy.server_side import large_arrays
from fedbrain.deploy.server_side.large_arrays import Arrays, arrays_of
from tests.deploy.test_rounds import _equal
from tests.faults.in_memory import Consortium

MAPS = Path("/proc/self/maps")  # files that this process has in memory


def answer(numbers):
    """Of a site, with one vector."""
    vectors = {"delta": np.arange(numbers, dtype=np.float32), "extra": np.zeros(0, np.float32)}
    return Message(Envelope("update", "amber", 1, "n", "c", "s", {}), vectors)


@pytest.mark.parametrize("in_files", [False, True])
def test_arrays_are_where_they_belong(tmp_path, in_files):
    """They begin where jax needs no copy, and no file has a name."""
    arrays = Arrays(tmp_path if in_files else None)
    matrix = arrays.empty(3, 5)
    matrix[:] = 1
    assert matrix.shape == (3, 5)
    assert matrix.dtype == np.float32
    assert matrix.ctypes.data % 64 == 0
    kept = arrays.keep(answer(400_000))
    np.testing.assert_array_equal(kept.vectors["delta"], np.arange(400_000))
    assert kept.vectors["extra"].size == 0
    assert not list(tmp_path.iterdir())
    assert MAPS.read_text().count(f"{tmp_path}/") == (2 if in_files else 0)
    del matrix, kept
    assert f"{tmp_path}/" not in MAPS.read_text()


def test_a_cohort_beyond_the_free_memory_goes_to_the_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(large_arrays, "free_bytes", lambda: 16 * 10**9)
    assert arrays_of(tmp_path, 90, 11_200_000).folder == tmp_path  # 8.06 GB of 8
    assert arrays_of(tmp_path, 89, 11_200_000).folder is None


def test_a_full_disk_is_one_sentence(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(ValueError, match="room for the 200 updates of a round, 8.0 GB, got none"):
        Arrays(tmp_path).empty(200, 10_000_000)


def test_a_run_in_files_has_the_same_bits(scans, tmp_path, monkeypatch):
    inside = Consortium(scans, tmp_path / "inside", rounds=2)
    expected = inside.models(inside.run())
    monkeypatch.setattr(large_arrays, "SHARE", 0)
    monkeypatch.setattr(large_arrays, "SMALL", 0)
    sizes, allocate = [], os.posix_fallocate
    monkeypatch.setattr(os, "posix_fallocate", lambda *a: (sizes.append(a[-1]), allocate(*a))[-1])
    outside = Consortium(scans, tmp_path / "outside", rounds=2)
    models = outside.models(outside.run())
    assert all(_equal(expected[name], models[name]) for name in expected)
    assert not outside.refused
    model = max(sizes) // 3  # of three sites, in one matrix
    assert sizes.count(3 * model) == 2  # rounds
    assert sizes.count(model) == 6
