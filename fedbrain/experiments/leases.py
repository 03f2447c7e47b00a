"""A folder belongs to one process at a time, also on disks without `flock` and across hosts.

Two marks say so. `flock` on `.lock` ends with its process, so a killed owner on the same host is
noticed at once; some shared disks do not have it, others only within a host. A lease, `.lease`, is
a file that its owner writes anew every few seconds: one that stays the same for `EXPIRES_S` belongs
to a process that is dead, whatever the clocks of the hosts say, and is taken over.
"""

import errno
import fcntl
import json
import os
import socket
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from fedbrain.experiments import interrupt

RENEWS_S = 10.0  # between two renewals: arbitrary
EXPIRES_S = 60.0  # a lease as old as this is nobody's: arbitrary, several renewals
LOOKS_S = 0.5  # between two looks at a lease that may expire
HELD = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)  # another process has the lock


class Busy(ValueError):
    """Another process is at work in a folder."""


class Lease(NamedTuple):
    """What the file says."""

    owner: str  # a name that nobody else has
    host: str
    pid: int
    renewals: int
    time: str  # of the last renewal, for people


_seen: dict[Path, tuple[Lease, float]] = {}  # of other processes, and since when they are the same


def _path(folder: Path) -> Path:
    return folder / ".lease"


def read_lease(folder: Path) -> Lease | None:
    """The lease of a folder; None when nobody has one, or it is cut.

    Args:
      folder: perhaps of nobody.
    """
    try:
        fields: Any = json.loads(_path(folder).read_text(encoding="utf-8"))
        return Lease(**fields)
    except (OSError, ValueError, TypeError):
        return None


def _written(lease: Lease) -> str:
    now = time.strftime("%Y-%m-%dT%H:%M:%S%z")
    return json.dumps(lease._replace(time=now)._asdict()) + "\n"


def _is_dead(folder: Path, lease: Lease, *, locked: bool) -> bool:
    """Whether the owner is known to be dead.

    Args:
      folder: of the lease.
      lease: as it was read now.
      locked: whether this process has the folder's `flock`.
    """
    if lease.host == socket.gethostname():
        try:
            os.kill(lease.pid, 0)
        except ProcessLookupError:
            return True
        except OSError:
            pass  # it lives, and is another user's
        if locked:
            return True  # a living owner would have it
    before, since = _seen.get(folder, (None, 0.0))
    if before != lease:
        _seen[folder] = lease, time.monotonic()
        return False
    return time.monotonic() - since > EXPIRES_S


@contextmanager
def _flock(folder: Path, *, wait: bool) -> Iterator[bool]:
    """Holds the lock of a folder; yields False where the disk has no `flock`."""
    with (folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except OSError as error:
            if error.errno in HELD:
                raise Busy(busy(folder)) from None
            yield False
            return
        yield True


def busy(folder: Path) -> str:
    """The sentence for a folder where another process is at work.

    Args:
      folder: of the results.
    """
    lease = read_lease(folder)
    who = f" ({lease.host}, process {lease.pid}, {lease.time})" if lease else ""
    return (
        f"{folder}: another process is at work here{who}. Wait for it, or choose another --workdir."
    )


def is_held(folder: Path) -> bool:
    """Whether a process is at work in a folder, as far as is known now. Nothing is written.

    A lease is taken for one of a living process until it has not changed for `EXPIRES_S`.

    Args:
      folder: perhaps of nobody.
    """
    if not (folder / ".lock").is_file():
        return False
    try:
        with _flock(folder, wait=False) as locked:
            lease = read_lease(folder)
            return lease is not None and not _is_dead(folder, lease, locked=locked)
    except Busy:
        return True


@contextmanager
def held(folder: Path, *, wait: bool = False) -> Iterator[None]:
    """Holds a folder.

    Where the lease of another host may be that of a dead process, this waits until it has changed
    or expired.

    Args:
      folder: that exists.
      wait: for other processes; otherwise they are an error.

    Raises:
      Busy: when another process is at work there.
    """
    with _flock(folder, wait=wait) as locked:
        mine = Lease(uuid.uuid4().hex, socket.gethostname(), os.getpid(), 0, "")
        _acquire(folder, mine, locked=locked, wait=wait)
        ends = threading.Event()
        renewing = threading.Thread(target=_renew, args=(folder, mine, ends), daemon=True)
        renewing.start()
        try:
            yield
        finally:
            ends.set()
            renewing.join()
            lease = read_lease(folder)
            if lease is not None and lease.owner == mine.owner:
                _path(folder).unlink(missing_ok=True)


def _acquire(folder: Path, mine: Lease, *, locked: bool, wait: bool) -> None:
    first = read_lease(folder)
    while not _create(folder, mine):
        lease = read_lease(folder)
        if lease is None:  # cut by a full disk, or gone since
            lease = first = Lease("", "", 0, 0, "")
        if _is_dead(folder, lease, locked=locked):
            _take_away(folder, lease)
            continue
        if not wait and first is not None and lease != first:
            raise Busy(busy(folder))
        first = first or lease
        time.sleep(LOOKS_S)


def _create(folder: Path, mine: Lease) -> bool:
    """Writes the lease if there is none: of several processes, one succeeds."""
    spare = folder / f".lease.{mine.owner}"
    spare.write_text(_written(mine), encoding="utf-8")
    try:
        os.link(spare, _path(folder))
    except FileExistsError:
        return False
    except OSError:  # a disk without hard links
        return _create_exclusively(folder, mine)
    finally:
        spare.unlink(missing_ok=True)
    return True


def _create_exclusively(folder: Path, mine: Lease) -> bool:
    try:
        with _path(folder).open("x", encoding="utf-8") as file:
            file.write(_written(mine))
    except FileExistsError:
        return False
    return True


def _take_away(folder: Path, dead: Lease) -> None:
    """Removes a dead lease; another process may do so at the same time, and hold the folder now."""
    away = folder / f".lease.{uuid.uuid4().hex}"
    with suppress(FileNotFoundError):
        os.rename(_path(folder), away)
        lease = Lease(**json.loads(away.read_text(encoding="utf-8"))) if dead.owner else dead
        if lease.owner != dead.owner:
            with suppress(FileExistsError):
                os.link(away, _path(folder))
        away.unlink()


def _renew(folder: Path, mine: Lease, ends: threading.Event) -> None:
    """Writes the lease anew until the end; stops the program when another process took it."""
    while not ends.wait(RENEWS_S):
        lease = read_lease(folder)
        if lease is not None and lease.owner != mine.owner:
            print(f"{folder}: another process took it over: this one stops.", file=sys.stderr)
            interrupt.request()
            return
        mine = mine._replace(renewals=mine.renewals + 1)
        spare = folder / f".lease.{mine.owner}"
        with suppress(OSError):  # a full disk is noticed by those who write results
            spare.write_text(_written(mine), encoding="utf-8")
            os.replace(spare, _path(folder))
