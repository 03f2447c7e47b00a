"""One process at a time in a folder: with `flock` and without it, after owners that died here or on
another host.
"""

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from fedbrain.experiments import grid, leases
from fedbrain.experiments.leases import Busy, Lease, held, is_held

OWNER = """
import sys, time
from pathlib import Path
from fedbrain.experiments import leases
if "without" in sys.argv:
    def missing(*_):
        raise OSError(38, "Function not implemented")
    leases.fcntl.flock = missing
leases.socket.gethostname = lambda: sys.argv[2]
leases.RENEWS_S = 0.05
with leases.held(Path(sys.argv[1])):
    print("holds", flush=True)
    time.sleep(600)
"""


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    """Leases are renewed and expire within a second."""
    for name, seconds in (("RENEWS_S", 0.05), ("EXPIRES_S", 0.5), ("LOOKS_S", 0.02)):
        monkeypatch.setattr(leases, name, seconds)
    monkeypatch.setattr(leases, "_seen", {})


@pytest.fixture(params=["flock", "without"])
def disk(request, monkeypatch):
    """A disk with `flock`, and one without."""
    if request.param == "without":

        def missing(*_):
            raise OSError(errno.ENOSYS, "Function not implemented")

        monkeypatch.setattr(fcntl, "flock", missing)
    return request.param


@pytest.fixture
def owner(tmp_path):
    """Starts another process that holds `tmp_path`, on a host of some name."""
    started = []

    def start(host, *more):
        command = [sys.executable, "-c", OWNER, str(tmp_path), host, *more]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout.readline() == "holds\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_folder_is_held_and_released(tmp_path, disk):
    assert not is_held(tmp_path)
    with held(tmp_path):
        assert is_held(tmp_path)
        time.sleep(0.2)
        assert leases.read_lease(tmp_path).renewals > 0
        with pytest.raises(Busy, match="another process is at work"), held(tmp_path):
            pass
    assert not is_held(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]
    with held(tmp_path):
        pass


@pytest.mark.parametrize("host", ["here", "elsewhere"])
def test_a_living_owner_stays_and_a_killed_one_is_followed(tmp_path, disk, owner, host):
    """On another host `flock` may see nothing: then only the lease says that its owner lives."""
    name = leases.socket.gethostname() if host == "here" else host
    process = owner(name, "without" if disk == "without" or host == "elsewhere" else disk)
    with pytest.raises(Busy, match=f"{name}, process {process.pid}"), held(tmp_path):
        pass
    for _ in range(5):
        assert is_held(tmp_path)
        time.sleep(0.15)  # longer than until a dead owner's lease expires
    process.send_signal(signal.SIGKILL)
    process.wait()
    start = time.monotonic()
    with held(tmp_path):
        assert leases.read_lease(tmp_path).pid == os.getpid()
    assert host == "elsewhere" or time.monotonic() - start < 0.5
    assert not is_held(tmp_path)


def test_an_owner_that_lost_its_lease_stops(tmp_path, disk, monkeypatch, capsys):
    stopped = []
    monkeypatch.setattr(leases.interrupt, "request", lambda: stopped.append(True))
    with held(tmp_path):
        other = Lease("other", "elsewhere", 1, 5, "")
        (tmp_path / ".lease").write_text(json.dumps(other._asdict()))
        deadline = time.monotonic() + 10
        while not stopped and time.monotonic() < deadline:
            time.sleep(0.02)
    assert stopped
    assert "took it over" in capsys.readouterr().err
    assert leases.read_lease(tmp_path) == other


def test_of_two_that_find_a_dead_owner_one_goes_on(tmp_path):
    """The slower one takes away what it takes for the dead lease, and puts the living one back."""
    dead, living = (Lease(name, "elsewhere", 1, 0, "") for name in ("dead", "living"))
    (tmp_path / ".lease").write_text(json.dumps(living._asdict()))
    leases._take_away(tmp_path, dead)
    assert leases.read_lease(tmp_path) == living
    leases._take_away(tmp_path, living)
    assert not list(tmp_path.iterdir())


def test_a_cut_lease_expires(tmp_path, disk):
    (tmp_path / ".lease").write_text('{"owner": ')
    with held(tmp_path):
        assert leases.read_lease(tmp_path).pid == os.getpid()


def test_a_grid_runs_where_flock_is_missing(tmp_path, disk, monkeypatch):
    """`flock` that is not there does not mean that another process is at work."""
    monkeypatch.setattr(grid, "conduct", lambda config, folder: None)
    assert grid.attempt(grid.Cell("row", 0, None, tmp_path / "cell", None))
