"""A work directory that cannot be written, in a sentence: a full or read-only disk, no permission,
a file where a folder should be.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

RESUMED = "; the same command then goes on from the last checkpoint."


class WriteError(ValueError):
    """A folder of results that cannot be written."""


def reason_of(error: BaseException) -> str:
    """What the system says: of an OSError, or of the number of one in the text of another error.

    Args:
      error: of Python, or of the library that writes checkpoints.

    >>> reason_of(OSError(28, "No space left on device"))
    'No space left on device'
    >>> reason_of(ValueError("Failed writing: [os_error_code='28']"))
    'No space left on device'
    """
    number = re.search(r"os_error_code='(\d+)'", str(error))
    if number:
        return os.strerror(int(number[1]))
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return (str(error).splitlines() or [type(error).__name__])[0]


@contextmanager
def writing(
    folder: Path, errors: tuple[type[Exception], ...] = (OSError,), *, flag: str = "workdir"
) -> Iterator[None]:
    """Turns errors of the disk into a sentence.

    Args:
      folder: of the results.
      errors: that are of the disk here; the library that writes checkpoints has ValueErrors too.
      flag: that chooses the folder.

    Raises:
      WriteError: naming the folder and the reason.
    """
    try:
        yield
    except WriteError:
        raise
    except errors as error:
        raise WriteError(
            f"{folder}: results cannot be written there ({reason_of(error)}). Free space, or choose"
            f" another --{flag}{RESUMED if flag == 'workdir' else '.'}"
        ) from None


def nearest_folder(path: Path, *, flag: str = "workdir") -> Path:
    """The path itself, or the nearest folder above it that is there.

    Args:
      path: perhaps not there yet.
      flag: that chooses it.

    Raises:
      ValueError: when it, or what is above it, is a file.
    """
    for place in (path.absolute(), *path.absolute().parents):
        if place.is_dir():
            return place
        if os.path.lexists(place):
            raise WriteError(
                f"{path}: expected a folder for results, got the file {place}. Choose another"
                f" --{flag}."
            )
    return Path("/")


def require_writable(path: Path, *, flag: str = "workdir") -> None:
    """Refuses a folder of results that cannot be made or written. Nothing is created.

    Args:
      path: of the folder.
      flag: that chooses it.

    Raises:
      ValueError: naming the folder and the reason.
    """
    with writing(path, flag=flag):
        folder = nearest_folder(path, flag=flag)
        disk = os.statvfs(folder)
    if disk.f_flag & os.ST_RDONLY:
        problem = "the disk is read-only"
    elif not os.access(folder, os.W_OK | os.X_OK):
        problem = f"no permission in {folder}"
    elif disk.f_blocks and not disk.f_bavail:  # /proc has no blocks
        problem = "the disk is full"
    else:
        return
    raise WriteError(
        f"{path}: results cannot be written there ({problem}). Choose another --{flag}."
    )
