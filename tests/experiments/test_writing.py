"""Work directories that cannot be written end in a sentence, before or in the middle of a run."""

import errno
import os
import resource
from contextlib import suppress
from types import SimpleNamespace

import numpy as np
import pytest

from fedbrain.experiments import experiment, writing
from fedbrain.experiments.checkpoints import Checkpoints
from fedbrain.experiments.workdir import claim
from fedbrain.experiments.writing import WriteError, require_writable
from tests.experiment_under_test import config


def disk(read_only=False, free=1):
    flag = os.ST_RDONLY if read_only else 0
    return SimpleNamespace(f_flag=flag, f_blocks=1000, f_bavail=free)


def test_a_file_in_the_way(tmp_path):
    (tmp_path / "file").write_text("mine")
    for path in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(WriteError, match=r"expected a folder for results, got the file"):
            require_writable(path)
        with (
            pytest.raises(ValueError, match=r"got the file .*Choose another --workdir"),
            claim(path, {}),
        ):
            pass
    assert (tmp_path / "file").read_text() == "mine"


def test_a_link_to_nothing(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    with pytest.raises(WriteError, match=r"got the file"):
        require_writable(tmp_path / "link" / "run")


@pytest.mark.parametrize(
    ("state", "reason"),
    [(disk(read_only=True), "the disk is read-only"), (disk(free=0), "the disk is full")],
)
def test_a_disk_that_takes_nothing(tmp_path, monkeypatch, state, reason):
    monkeypatch.setattr(writing.os, "statvfs", lambda folder: state)
    with pytest.raises(WriteError, match=reason):
        require_writable(tmp_path / "new" / "run")
    assert not list(tmp_path.iterdir())


def test_no_permission(tmp_path, monkeypatch):
    monkeypatch.setattr(writing.os, "access", lambda folder, mode: False)
    with pytest.raises(WriteError, match=rf"no permission in {tmp_path}"):
        require_writable(tmp_path / "run")


def test_a_folder_that_is_new_or_there(tmp_path):
    require_writable(tmp_path)
    require_writable(tmp_path / "a" / "b")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EIO])
def test_a_disk_that_fails_while_a_run_holds_it(tmp_path, number):
    with (
        pytest.raises(ValueError, match=rf"{os.strerror(number)}.*Free space.*goes on"),
        claim(tmp_path / "run", {}),
    ):
        raise OSError(number, os.strerror(number))


def test_a_checkpoint_that_does_not_fit(tmp_path):
    """The library that writes them has errors of the disk in a page of text."""
    checkpoints = Checkpoints(tmp_path, keep=2)
    checkpoints.save(1, {"w": np.arange(4.0)})
    checkpoints.flush()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))  # files cannot grow beyond it

    def save() -> None:
        checkpoints.save(2, {"w": np.arange(4000.0)})
        checkpoints.flush()

    try:
        with pytest.raises(WriteError, match=r"cannot be written there \(File too large\)"):
            save()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        with suppress(WriteError):  # there is nothing more to save
            checkpoints.close()
    again = Checkpoints(tmp_path, keep=2).restore_latest({"w": np.zeros(4)})
    assert again is not None
    assert again[0] == 1


def test_an_experiment_asks_before_it_reads_a_scan(tmp_path, monkeypatch):
    def no_scan(*arguments):
        raise AssertionError("a scan was read")

    monkeypatch.setattr(experiment, "load_clients", no_scan)
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError, match="got the file"):
        experiment.run(config(tmp_path / "cache"), tmp_path / "file" / "run")
