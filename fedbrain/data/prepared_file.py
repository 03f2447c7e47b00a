"""A prepared volume on disk, which is noticed when it is damaged.

    voxels, float32 in C order | their BLAKE2b, 8 bytes | notes on the scan, JSON in UTF-8

There is no header: the recipe knows the shape. (`np.load` parses the header of a `.npy` file by
`ast`, which fails now and then in threads of CPython 3.11.)
"""

import hashlib
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float

CHECK_BYTES = 8


class DamagedError(ValueError):
    """A prepared volume that is missing or not as it was written."""


class CacheError(ValueError):
    """A folder of prepared volumes that cannot be written."""


def save_prepared(
    path: Path, data: Float[np.ndarray, "d h w"], notes: Mapping[str, str] | None = None
) -> None:
    """Writes a prepared volume in one piece or not at all.

    Raises:
      CacheError: when the folder cannot be written or the disk is full.
    """
    voxels = np.ascontiguousarray(data, np.float32).tobytes()
    content = voxels + _check(voxels) + json.dumps(dict(notes or {})).encode()
    temporary = path.with_suffix(f".{os.getpid()}.{id(data)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(content)
        temporary.replace(path)
    except OSError as error:
        raise CacheError(
            f"{path.parent}: prepared volumes cannot be written there"
            f" ({error.strerror or error}). Free space, or set config.cache to another folder."
        ) from None
    finally:
        _remove(temporary)


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:  # a read-only disk, or no folder: then there is nothing to remove
        return


def _check(content: bytes | memoryview) -> bytes:
    return hashlib.blake2b(content, digest_size=CHECK_BYTES).digest()


def read_prepared(path: Path, shape: tuple[int, ...]) -> Float[np.ndarray, "d h w"]:
    """The voxels.

    Raises:
      DamagedError: when the file is missing, cut short or changed.
    """
    content = memoryview(_read(path, 0))
    end = 4 * math.prod(shape)
    if len(content) < end or _check(content[:end]) != content[end : end + CHECK_BYTES]:
        raise DamagedError("is damaged")
    return np.frombuffer(content[:end], np.float32).reshape(shape)


def read_notes(path: Path, shape: tuple[int, ...]) -> dict[str, str]:
    """The notes; the voxels are not read.

    Raises:
      DamagedError: when the file is missing or has another size.
    """
    try:
        notes = json.loads(_read(path, 4 * math.prod(shape) + CHECK_BYTES))
    except ValueError:
        raise DamagedError("is damaged") from None
    return notes


def read_checksum(path: Path, shape: tuple[int, ...]) -> bytes:
    """What tells the voxels of one prepared volume from those of another.

    Raises:
      DamagedError: when the file is missing or cut short.
    """
    check = _read(path, 4 * math.prod(shape))[:CHECK_BYTES]
    if len(check) < CHECK_BYTES:
        raise DamagedError("is damaged")
    return check


def _read(path: Path, start: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(start)
            return file.read()
    except FileNotFoundError:
        raise DamagedError("is missing") from None
    except OSError as error:
        raise DamagedError(f"cannot be read ({error.strerror or error})") from None
