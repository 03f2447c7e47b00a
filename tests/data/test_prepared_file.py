"""Prepared volumes that are damaged, lost or cannot be written; exchanged and large images."""

import errno
import os
import shutil
from functools import partial
from pathlib import Path
from threading import Barrier, Thread

import numpy as np
import pytest

from fedbrain.data.bids import find_scans
from fedbrain.data.dataset import Preparation, Volumes
from fedbrain.data.memory import Memory, free_bytes, needed_bytes
from fedbrain.data.nifti_file import ImageError
from fedbrain.data.prepare import fingerprint, prepare, prepare_scan
from fedbrain.data.prepared_file import (
    STORAGES,
    CacheError,
    DamagedError,
    read_checksum,
    read_notes,
    read_prepared,
    save_prepared,
)
from fedbrain.data.recipes import Recipe, conform_recipe, registered_recipe
from fedbrain.data.scan_report import Report
from fedbrain.data.sites import bids
from fedbrain.data.synthetic.site import synthetic
from tests.tiny import brain, save_volume

RECIPE = Recipe(6.0, (8, 8, 8))
VOLUME = np.arange(24, dtype=np.float32).reshape(2, 3, 4)


def test_what_is_written_is_read(tmp_path):
    path, notes = tmp_path / "new" / "a.f32", {"kind": "ü"}
    save_prepared(path, VOLUME, notes)
    np.testing.assert_array_equal(read_prepared(path, (2, 3, 4)), VOLUME)
    assert read_notes(path, (2, 3, 4)) == notes
    assert not list(tmp_path.rglob("*.tmp"))


def test_a_byte_a_voxel_is_near_enough(tmp_path):
    """A quarter of the disk; 0 stays 0, what is clamped stays there, half a step is the error."""
    volume = np.linspace(-5, 5, 24, dtype=np.float32).reshape(2, 3, 4)
    volume[0, 0, :2] = 0, 5
    save_prepared(tmp_path / "a.i8", volume, {"kind": "x"})
    read = read_prepared(tmp_path / "a.i8", (2, 3, 4))
    assert read.dtype == np.float32
    assert np.abs(read - volume).max() <= 2.5 / 127 + 1e-6
    assert read[0, 0, :2].tolist() == [0, 5]
    assert read_notes(tmp_path / "a.i8", (2, 3, 4)) == {"kind": "x"}
    save_prepared(tmp_path / "b.i8", read)  # what was read once is stored as it was
    assert read_checksum(tmp_path / "a.i8", (2, 3, 4)) == read_checksum(
        tmp_path / "b.i8", (2, 3, 4)
    )


@pytest.mark.parametrize(
    "make", [conform_recipe, partial(registered_recipe, centre_mm=(24.0, 24.0, 24.0))]
)
def test_storage_is_part_of_the_recipe(make, tree, tmp_path):
    scans = find_scans(tree)[:2]
    for storage in STORAGES:
        recipe = make(6.0, (8, 8, 8), "nonzero", storage=storage)
        report = Report("here")
        made = prepare(scans, tree, recipe=recipe, cache=tmp_path, report=report)
        suffix, size = STORAGES[storage].suffix, STORAGES[storage].size(recipe.shape)
        assert [path.suffix for path in made.values()] == [suffix] * len(scans)
        assert all(size < path.stat().st_size < size + 300 for path in made.values())
    with pytest.raises(ValueError, match="float32, int8, got 'int4'"):
        make(storage="int4")


def _flip(path):
    content = bytearray(path.read_bytes())
    content[9] ^= 1
    path.write_bytes(content)


DAMAGE = {
    "empty": lambda p: p.write_bytes(b""),
    "cut": lambda p: p.write_bytes(p.read_bytes()[:-20]),
    "cut short": lambda p: p.write_bytes(p.read_bytes()[:10]),
    "flipped": _flip,
    "missing": lambda p: p.unlink(),
    "of another version": lambda p: p.write_bytes(VOLUME.tobytes()),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_damage_is_noticed(tmp_path, damage):
    save_prepared(tmp_path / "a.f32", VOLUME)
    damage(tmp_path / "a.f32")
    with pytest.raises(DamagedError):
        read_prepared(tmp_path / "a.f32", (2, 3, 4))


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_volume_is_made_anew_while_a_network_trains(tree, tmp_path, damage):
    scans, _ = bids(str(tree))("here", Preparation(RECIPE, tmp_path / "cache"))
    before = scans.volumes[3]
    assert isinstance(scans.volumes, Volumes)
    damage(scans.volumes.paths[3][0])
    np.testing.assert_array_equal(scans.volumes[3], before)
    np.testing.assert_array_equal(scans.volumes[3], before)


def test_a_cache_that_is_removed_is_made_anew(tree, tmp_path):
    preparation = Preparation(RECIPE, tmp_path / "cache")
    people = synthetic("amber", subjects=2)("amber", preparation)[0]
    patients = bids(str(tree))("here", preparation)[0]
    before = [*people.volumes, *patients.volumes]
    shutil.rmtree(tmp_path / "cache")
    for one, other in zip(before, [*people.volumes, *patients.volumes]):
        np.testing.assert_array_equal(one, other)


def test_what_cannot_be_made_anew_is_a_sentence(tree, tmp_path):
    scans, _ = bids(str(tree))("here", Preparation(RECIPE, tmp_path / "cache"))
    assert isinstance(scans.volumes, Volumes)
    prepared, image = scans.volumes.paths[0][0], find_scans(tree)[0].path
    assert prepared
    prepared.unlink()
    save_volume(image, brain(7))
    with pytest.raises(ValueError, match=f"{prepared}: .* is missing, and its scan has changed"):
        scans.volumes[0]
    image.unlink()
    with pytest.raises(ValueError, match=f"{prepared}: .* cannot be made anew: {image}: expected"):
        scans.volumes[0]
    with pytest.raises(ValueError, match="Run the same command again"):
        Volumes([[prepared]], RECIPE.shape)[0]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT])
def test_a_disk_that_cannot_be_written_is_a_sentence(tree, tmp_path, monkeypatch, code):
    def fail(self, content):
        with self.open("wb") as file:
            file.write(content[:10])
        raise OSError(code, os.strerror(code), str(self))

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(ValueError, match=f"cache: prepared volumes .*{os.strerror(code)}"):
        bids(str(tree))("here", Preparation(RECIPE, tmp_path / "cache"))
    assert not list((tmp_path / "cache").iterdir())


def test_a_cache_that_is_a_file_is_a_sentence(tree, tmp_path):
    (tmp_path / "cache").write_text("")
    with pytest.raises(CacheError, match=r"cache: prepared volumes cannot be written there"):
        prepare_scan(find_scans(tree)[0], None, recipe=RECIPE, cache=tmp_path / "cache")


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_another_image_of_the_same_size_and_time_is_another_image(tmp_path, name):
    rng = np.random.default_rng(0)
    path = tmp_path / name
    path.write_bytes(rng.bytes(100_000))
    first, time = fingerprint([path], RECIPE), path.stat().st_mtime_ns
    path.chmod(0o600)
    assert fingerprint([path], RECIPE) == first
    path.write_bytes(rng.bytes(100_000))
    os.utime(path, ns=(time, time))
    assert fingerprint([path], RECIPE) != first


def test_scans_share_the_memory(tmp_path):
    memory, inside, most = Memory(100), [], []
    barrier = Barrier(4)

    def work():
        barrier.wait()
        with memory.hold(tmp_path, 40):
            inside.append(1)
            most.append(len(inside))
            inside.pop()

    threads = [Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(most) == 4
    assert max(most) <= 2
    assert memory.held_bytes == 0
    with pytest.raises(ImageError, match="fits the memory"), memory.hold(tmp_path, 101):
        pass


def test_the_memory_of_a_scan_comes_from_its_header(tmp_path):
    path = save_volume(tmp_path / "a.nii.gz", brain())
    assert needed_bytes([path, path]) == 2 * (352 + (2 + 18) * 16**3)
    assert free_bytes() > 2**20


def test_a_scan_that_needs_more_memory_than_there_is_is_left_out(tree, tmp_path, monkeypatch):
    save_volume(tree / "sub-03/anat/sub-03_T1w.nii.gz", brain(0, (64, 64, 64)))
    monkeypatch.setattr("fedbrain.data.prepare.free_bytes", lambda: 2**20)
    scans, report = bids(str(tree))("here", Preparation(RECIPE, tmp_path / "cache"))
    assert len(scans) == 11
    assert "sub-03_T1w.nii.gz: expected an image that fits" in report.left_out["unusable image"][0]


@pytest.mark.parametrize("error", [MemoryError(), OverflowError("x"), ZeroDivisionError("x")])
def test_whatever_a_scan_raises_costs_one_scan(tree, tmp_path, monkeypatch, error):
    from fedbrain.data import prepare

    conform, calls = prepare.conform, []

    def fail_once(*arguments):
        calls.append(1)
        if len(calls) == 1:
            raise error
        return conform(*arguments)

    monkeypatch.setattr(prepare, "conform", fail_once)
    scans, report = bids(str(tree))("here", Preparation(RECIPE, tmp_path / "cache"))
    assert (len(scans), report.found) == (11, 12)
    assert "_T1w.nii.gz: " in report.left_out["unusable image"][0]


def test_the_home_folder_is_expanded(tree, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tree.parent))
    scans, _ = bids("~/tree")("here", Preparation(RECIPE, tmp_path / "cache"))
    assert len(scans) == 12
    with pytest.raises(ValueError, match="sites.here: .*missing: expected a BIDS folder"):
        bids("~/missing")("here", Preparation(RECIPE, tmp_path / "cache"))
