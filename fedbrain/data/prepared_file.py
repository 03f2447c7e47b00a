"""A prepared volume on disk, which is noticed when it is damaged.

    voxels in C order | their BLAKE2b, 8 bytes | notes on the scan, JSON in UTF-8

There is no header: the recipe knows the shape, and the suffix of the file how voxels are stored.
(`np.load` parses the header of a `.npy` file by `ast`, which fails now and then in threads of
CPython 3.11.)
"""

import hashlib
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

CHECK_BYTES = 8
LARGEST = 5.0  # of a prepared voxel, in SDs: z-scores are clamped there


class Storage(NamedTuple):
    """How voxels are stored."""

    suffix: str  # of the file
    dtype: type[np.number]
    step: float  # what 1 in the file means

    def stored(self, data: Float[np.ndarray, "d h w"]) -> bytes:
        """Voxels as they lie in the file; 0 stays 0."""
        numbers = data if self.step == 1 else np.rint(data / np.float32(self.step))
        return np.ascontiguousarray(numbers, self.dtype).tobytes()

    def read(self, content: memoryview) -> Float[np.ndarray, " voxels"]:
        """Voxels of a file, as float32."""
        numbers = np.frombuffer(content, self.dtype)
        return numbers if self.step == 1 else numbers * np.float32(self.step)

    def size(self, shape: tuple[int, ...]) -> int:
        """Bytes of the voxels of a volume."""
        return math.prod(shape) * np.dtype(self.dtype).itemsize


STORAGES = {
    "float32": Storage(".f32", np.float32, 1.0),
    "int8": Storage(".i8", np.int8, LARGEST / 127),  # a quarter of the disk; off by 0.02 SD at most
}
BY_SUFFIX = {storage.suffix: storage for storage in STORAGES.values()}


class DamagedError(ValueError):
    """A prepared volume that is missing or not as it was written."""


class CacheError(ValueError):
    """A folder of prepared volumes that cannot be written."""


def save_prepared(
    path: Path, data: Float[np.ndarray, "d h w"], notes: Mapping[str, str] | None = None
) -> None:
    """Writes a prepared volume in one piece or not at all.

    Args:
      path: of the file; its suffix says how voxels are stored.
      data: z-scores.
      notes: on the scan.

    Raises:
      CacheError: when the folder cannot be written or the disk is full.
    """
    voxels = BY_SUFFIX[path.suffix].stored(data)
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
    storage, content = BY_SUFFIX[path.suffix], memoryview(_read(path, 0))
    end = storage.size(shape)
    if len(content) < end or _check(content[:end]) != content[end : end + CHECK_BYTES]:
        raise DamagedError("is damaged")
    return storage.read(content[:end]).reshape(shape)


def read_notes(path: Path, shape: tuple[int, ...]) -> dict[str, str]:
    """The notes; the voxels are not read.

    Raises:
      DamagedError: when the file is missing or has another size.
    """
    try:
        notes = json.loads(_read(path, BY_SUFFIX[path.suffix].size(shape) + CHECK_BYTES))
    except ValueError:
        raise DamagedError("is damaged") from None
    return notes


def read_checksum(path: Path, shape: tuple[int, ...]) -> bytes:
    """What tells the voxels of one prepared volume from those of another.

    Raises:
      DamagedError: when the file is missing or cut short.
    """
    check = _read(path, BY_SUFFIX[path.suffix].size(shape))[:CHECK_BYTES]
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
