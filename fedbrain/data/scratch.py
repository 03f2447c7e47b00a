"""Folders for files on the way. What a killed process leaves of them, a later process removes.

The owner of a folder locks a file in it. The system takes that lock back when the process ends,
however it ends; so a lock that can be had belongs to nobody who lives. A lock on a shared disk may
hold on its own host alone: only folders of this host are looked at.
"""

import fcntl
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

PREFIX = "fedbrain-"
LOCK = ".owner"  # in a folder: the file that its owner locks, with the name of the host
UNFINISHED_S = 3600.0  # a file under way that nobody wrote to for so long is nobody's: arbitrary


@contextmanager
def scratch(parent: Path | None = None, *, prefix: str = PREFIX) -> Iterator[Path]:
    """An empty folder of this process, which is removed afterwards.

    Before, those of dead processes of this user and host are removed that lie beside it.

    Args:
      parent: where it is made; None: where the system has temporary files (TMPDIR).
      prefix: of its name, and of the names of those that are removed.

    Raises:
      OSError: when it cannot be written.
    """
    place = Path(tempfile.gettempdir()) if parent is None else parent
    remove_left_behind(place, prefix)
    with (
        tempfile.TemporaryDirectory(dir=place, prefix=prefix, ignore_cleanup_errors=True) as name,
        ExitStack() as locks,
    ):
        _own(Path(name), locks)
        files = Path(name, "files")
        files.mkdir()
        yield files


def _own(folder: Path, locks: ExitStack) -> None:
    """Locks a folder; on a disk without locks it has none, and nobody else removes it."""
    early = folder / f"{LOCK}.early"  # has its name once it is locked
    file = locks.enter_context(early.open("w", encoding="utf-8"))
    file.write(socket.gethostname())
    file.flush()
    with suppress(OSError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        early.rename(folder / LOCK)


def remove_left_behind(place: Path, prefix: str = PREFIX) -> list[Path]:
    """Removes the folders of dead processes, and returns them.

    Args:
      place: where they lie.
      prefix: of their names.
    """
    removed = []
    with suppress(OSError):
        for path in sorted(place.iterdir()):
            if path.name.startswith(prefix) and _remove_of_the_dead(path):
                removed.append(path)
    return removed


def _remove_of_the_dead(folder: Path) -> bool:
    """Removes a folder of this user and host whose lock can be had; whether it did."""
    try:
        if folder.is_symlink() or folder.stat().st_uid != os.geteuid():
            return False
        number = os.open(folder / LOCK, os.O_RDWR | os.O_NOFOLLOW)
    except OSError:  # gone, or never locked
        return False
    with os.fdopen(number, encoding="utf-8") as file:
        try:
            if file.read() != socket.gethostname():
                return False
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (OSError, ValueError):
            return False
        for path in folder.iterdir():
            if path.name != LOCK:  # the last, so that a removal that is killed is done later
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        shutil.rmtree(folder)
    return True


def remove_unfinished(folder: Path) -> list[Path]:
    """Removes files that a killed process left half written, at any depth, and returns them.

    Args:
      folder: where files are written under a name that ends in `.tmp` until they are whole.
    """
    removed, now = [], time.time()
    for path in sorted(folder.rglob("*.tmp")):
        with suppress(OSError):
            state = path.lstat()
            mine = path.is_file() and not path.is_symlink() and state.st_uid == os.geteuid()
            if mine and now - state.st_mtime > UNFINISHED_S:
                path.unlink()
                removed.append(path)
    return removed
