"""Folders for files on the way: those of killed processes go, those of others stay."""

import os
import signal
import subprocess
import sys
import time

import pytest

from fedbrain.data import scratch
from fedbrain.data.scratch import LOCK, remove_left_behind, remove_unfinished
from tests.programs import ROOT

HOLDS = """
import sys, time
from pathlib import Path
from fedbrain.data.scratch import scratch
with scratch(Path(sys.argv[1])) as folder:
    (folder / "half.nii").write_bytes(b"half of an image")
    (folder / "elsewhere").symlink_to(sys.argv[2])
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def owner(tmp_path):
    """A process with a folder in `place`, in which a link leads to `kept`."""
    place, kept = tmp_path / "place", tmp_path / "kept"
    place.mkdir()
    kept.mkdir()
    (kept / "file").write_text("of somebody")
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    command = [sys.executable, "-c", HOLDS, str(place), str(kept)]
    with subprocess.Popen(command, cwd=ROOT, **pipes) as process:
        assert process.stdout.readline() == b"held\n"
        yield process, place
        process.kill()


def test_a_killed_owners_folder_goes_and_a_living_ones_stays(owner, tmp_path):
    process, place = owner
    assert remove_left_behind(place) == []
    with scratch.scratch(place) as mine:
        assert len(list(place.iterdir())) == 2
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert len(remove_left_behind(place)) == 1
        assert [path.parent for path in place.glob("*/files")] == [mine.parent]
    assert not list(place.iterdir())
    assert (tmp_path / "kept/file").read_text() == "of somebody"


def test_an_owner_that_ends_removes_its_own(owner):
    process, place = owner
    process.communicate(b"", timeout=60)
    assert process.returncode == 0
    assert not list(place.iterdir())


@pytest.mark.parametrize("whose", ["another user", "another host", "nobody known"])
def test_what_is_not_known_to_be_of_a_dead_process_stays(owner, monkeypatch, whose):
    process, place = owner
    process.kill()
    process.wait()
    (folder,) = place.iterdir()
    if whose == "another user":
        other = os.geteuid() + 1
        monkeypatch.setattr(os, "geteuid", lambda: other)
    elif whose == "another host":
        (folder / LOCK).write_text("another host")
    else:
        (folder / LOCK).unlink()
    assert remove_left_behind(place) == []
    assert (folder / "files/half.nii").is_file()


def test_links_and_other_names_stay(owner, tmp_path):
    process, place = owner
    process.kill()
    process.wait()
    (folder,) = place.iterdir()
    elsewhere = tmp_path / "elsewhere"
    folder.rename(elsewhere)
    (place / "fedbrain-link").symlink_to(elsewhere)
    (place / "fedbrain-file").write_text("a file")
    (place / "other").mkdir()
    assert remove_left_behind(place) == []
    assert len(list(place.iterdir())) == 3
    assert remove_left_behind(tmp_path / "nowhere") == []
    assert (elsewhere / "files/half.nii").is_file()


def test_a_disk_without_locks_has_folders_that_nobody_else_removes(tmp_path, monkeypatch):
    def no_locks(file, operation):
        del file, operation
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(scratch.fcntl, "flock", no_locks)
    with scratch.scratch(tmp_path) as folder:
        assert remove_left_behind(tmp_path) == []
        assert folder.is_dir()
    assert not list(tmp_path.iterdir())


def test_files_that_nobody_finishes_go_after_an_hour(tmp_path):
    old, new = tmp_path / "sub-01/.old.nii.gz.7.tmp", tmp_path / "new.tmp"
    old.parent.mkdir()
    for path in (old, new, tmp_path / "whole.nii.gz"):
        path.write_text("half")
        os.utime(path, (time.time() - 7200,) * 2)
    new.touch()
    assert remove_unfinished(tmp_path) == [old]
    assert new.is_file()
    assert remove_unfinished(tmp_path / "nowhere") == []
