"""The bytes of a NIfTI file: nothing is allocated for a header that its file cannot hold.

gzip makes a file at most 1032 times smaller (each block of 258 equal bytes takes two bits), so a
small file with a header of many voxels is damaged.
"""

import gzip
import math
import os
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

import nibabel as nib
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError

from fedbrain.data.other_files import link_to_nothing, other_file

GZIP_RATIO = 1032
KINDS = {348: nib.Nifti1Image, 540: nib.Nifti2Image}  # by the size of the header in bytes


class ImageError(ValueError):
    """An image that cannot be used. The message names the file, what was expected, what came and
    what to do.
    """


class Outline(NamedTuple):
    """What a header promises."""

    header: Any  # nibabel's, as it is in the file
    voxels: int
    needed_bytes: int  # of header and voxels, decompressed


def require_file(path: Path) -> None:
    """Raises ImageError for a missing, linked-to-nowhere, closed or empty file."""
    try:
        state = os.stat(path)
    except FileNotFoundError:
        if path.is_symlink():
            raise ImageError(link_to_nothing(path)) from None
        raise ImageError(f"{path}: expected a file, got nothing there.") from None
    except OSError as error:
        raise ImageError(sentence(path, error)) from None
    if not stat.S_ISREG(state.st_mode):
        got = "a folder" if stat.S_ISDIR(state.st_mode) else "something else"
        raise ImageError(f"{path}: expected a file, got {got}.")
    if state.st_size == 0:
        raise ImageError(
            f"{path}: expected an image, got 0 bytes (git-annex link? run 'datalad get"
            f" {path.name}')."
        )


def sentence(path: Path, error: BaseException) -> str:
    """What went wrong with a file, for its user."""
    if isinstance(error, ImageError):
        return str(error)
    detail = (str(error).splitlines() or [type(error).__name__])[0].removesuffix(".")
    if isinstance(error, PermissionError):
        return f"{path}: no permission to read the file. Ask for it, or exclude the scan."
    if isinstance(error, MemoryError):
        return f"{path}: expected an image that fits the memory, got a larger one ({detail})."
    if isinstance(error, (ImageFileError, HeaderDataError)):
        return f"{path}: expected a NIfTI image, got something else ({detail})."
    if isinstance(error, (EOFError, zlib.error, gzip.BadGzipFile, ValueError)):
        return f"{path}: the file is damaged or cut short ({detail}). Fetch it again."
    if isinstance(error, OSError):
        return f"{path}: the file cannot be read ({error.strerror or detail})."
    return f"{path}: the image cannot be used ({type(error).__name__}: {detail})."


def read_outline(path: Path) -> Outline:
    """What the header of a file promises; raises whatever a damaged file raises."""
    with _opened(path) as (stream, holds_bytes):
        return _outline(path, stream.read(540), holds_bytes)


def read_image(path: Path) -> tuple[Any, Any]:
    """(nibabel's image, header as it is in the file).

    The file is read to its end, so that gzip checks its sum: a lazy reader stops before it and
    misses damage.
    """
    with _opened(path) as (stream, holds_bytes):
        head = stream.read(540)
        outline = _outline(path, head, holds_bytes)
        content = head + stream.read(max(0, outline.needed_bytes - len(head)))
        if len(content) < outline.needed_bytes:
            raise EOFError(f"expected {outline.needed_bytes} bytes, got {len(content)}")
        while stream.read(1 << 20):
            pass
    kind = KINDS[int(outline.header["sizeof_hdr"])]
    return kind.from_bytes(content), outline.header


@contextmanager
def _opened(path: Path) -> Iterator[tuple[IO[bytes] | gzip.GzipFile, int]]:
    """A file, decompressed whatever its name is, and the most bytes that it can hold."""
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        size = os.fstat(file.fileno()).st_size
        if packed:
            yield gzip.GzipFile(fileobj=file), size * GZIP_RATIO
        else:
            yield file, size


def _outline(path: Path, head: bytes, holds_bytes: int) -> Outline:
    if meaning := other_file(head):
        raise ImageError(f"{path}: expected a NIfTI image, got something else: {meaning}.")
    sizes = {order: int.from_bytes(head[:4], order) for order in ("little", "big")}
    order, size = next(((o, s) for o, s in sizes.items() if s in KINDS), ("", 0))
    if not size:
        raise ImageFileError("no NIfTI header")
    if len(head) < size:
        raise EOFError(f"expected a header of {size} bytes, got {len(head)}")
    header = KINDS[size].header_class(head[:size], endianness=order, check=False)
    axes = int(header["dim"][0])
    if not 1 <= axes <= 7:
        raise HeaderDataError(f"expected 1 to 7 axes, got {axes}")
    shape = [int(n) for n in header["dim"][1 : axes + 1]]
    if min(shape) < 0:
        raise HeaderDataError(f"expected axes of at least one voxel, got {shape}")
    try:
        dtype = header.get_data_dtype()
    except KeyError:
        raise HeaderDataError(f"unknown data type {int(header['datatype'])}") from None
    offset, voxels = float(header["vox_offset"]), math.prod(shape)
    if voxels and not size <= offset < math.inf:
        raise ImageError(
            f"{path}: expected voxels after the header of {size} bytes, got them at byte"
            f" {offset:g}. Write the image again."
        )
    needed = int(offset) + voxels * dtype.itemsize
    if needed > holds_bytes:
        raise EOFError(
            f"its header promises {' x '.join(map(str, shape))} voxels in {needed} bytes, and it"
            f" holds at most {holds_bytes}"
        )
    return Outline(header, voxels, needed)
