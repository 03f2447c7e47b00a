"""Tensors of a PyTorch file (`.pt`, `.pth`, `.ckpt`), read without torch and without executing its
pickle (see `instructions`).

Since PyTorch 1.6 such a file is a ZIP archive of raw storages and a pickle that says which tensor
is which part of which storage. Before, pickles and storages followed each other in one stream.
"""

import io
import math
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from fedbrain.models.files.instructions import Machine, Thing, Unreadable
from fedbrain.models.files.torch_calls import REFUSED, STORAGES, Storage, Tensor, call, to_storage

LEGACY = 0x1950A86A20F9469CFC6C  # the first value of a file before PyTorch 1.6
DEPTH = 6  # of dictionaries in dictionaries
# What reading may raise when bytes are wrong. RuntimeError: too deep, or a kind of ZIP entry that
# zipfile does not read.
DAMAGE = (
    KeyError, IndexError, TypeError, ValueError, AttributeError, EOFError, OverflowError,
    RuntimeError, MemoryError, struct.error, zlib.error, zipfile.BadZipFile,
)  # fmt: skip
ENDED = "a file that is damaged: it ends too early. Fetch it again"


class Tensors(Mapping[str, np.ndarray]):
    """The tensors of a file by name, made when they are asked for.

    Args:
      tensors: name -> which part of which storage.
      read: the bytes of a storage.
    """

    def __init__(self, tensors: Mapping[str, Tensor], read: Callable[[Storage], bytes]):
        self.tensors, self.read = tensors, read

    def __iter__(self) -> Iterator[str]:
        return iter(self.tensors)

    def __len__(self) -> int:
        return len(self.tensors)

    def __getitem__(self, name: str) -> Shaped[np.ndarray, "..."]:
        tensor = self.tensors[name]
        if tensor.dtype not in STORAGES.values():
            raise Unreadable(
                f"{name}: expected float64, float32, float16 or bfloat16, got {tensor.dtype}."
                " Convert it in PyTorch"
            )
        return to_array(tensor, self.read(tensor.storage))


def to_array(tensor: Tensor, raw: bytes) -> Shaped[np.ndarray, "..."]:
    """The numbers of a tensor; bfloat16 becomes float32, without loss.

    Args:
      tensor: which part of the storage, inside it.
      raw: bytes of the storage.
    """
    half = tensor.dtype == "bfloat16"
    kind = np.dtype("<u2" if half else tensor.dtype)
    if not all(tensor.size):
        return np.zeros(tensor.size, np.float32 if half else kind)
    flat = np.frombuffer(raw, kind, count=len(raw) // kind.itemsize)
    steps = [s * kind.itemsize for s in tensor.stride]
    view = np.lib.stride_tricks.as_strided(flat[tensor.offset :], tensor.size, steps)
    if half:
        return np.asarray((view.astype(np.uint32) << 16).view(np.float32))
    return view.copy()


def _require_inside(tensor: Tensor, bytes_stored: int) -> None:
    """Refuses a tensor that reaches beyond its storage, or repeats it to fill the memory."""
    _, offset, size, stride, _ = tensor
    numbers = bytes_stored // tensor.storage.itemsize
    last = offset + sum((n - 1) * s for n, s in zip(size, stride)) if all(size) else offset
    inside = min((offset, *size, *stride)) >= 0 and last < max(numbers, 1)
    if not inside or len(size) != len(stride) or math.prod(size) > max(numbers, 1):
        raise Unreadable(
            f"expected a tensor inside its storage of {numbers} numbers, got {size} from {offset}"
        )


def _walk(value: Any, path: tuple[str, ...], seen: set[int]) -> Iterator[tuple[str, Tensor]]:
    """Names and tensors in nested dictionaries and lists, each of which is entered once."""
    if isinstance(value, Tensor) and path:
        yield ".".join(path), value
    elif type(value) in (dict, list, tuple) and len(path) < DEPTH and id(value) not in seen:
        seen.add(id(value))
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            yield from _walk(item, (*path, str(key)), seen)


def _things(value: Any) -> list[str]:
    """Types of objects that were passed over, at the top and one level below."""
    values = [value, *value.values()] if isinstance(value, Mapping) else [value]
    return [v.text for v in values if isinstance(v, Thing)]


def _tensors(
    value: Any, read: Callable[[Storage], bytes], size: Callable[[Storage], int]
) -> Tensors:
    tensors = dict(_walk(value, (), set()))
    for tensor in tensors.values():
        if tensor.dtype in STORAGES.values():
            _require_inside(tensor, size(tensor.storage))
    if tensors:
        return Tensors(tensors, read)
    if _things(value):
        text = _things(value)[0]
        raise Unreadable(f"expected a dictionary of tensors, got an object {text!r:.60}, {REFUSED}")
    raise Unreadable(f"expected a dictionary of tensors, got {type(value).__name__} without any")


def _refuse_other_archives(names: list[str]) -> None:
    """One sentence for each kind of ZIP archive that is taken for a file of weights."""
    ends = {name.rpartition("/")[2] for name in names}
    advice = "In PyTorch, save its weights alone: torch.save"
    if "constants.pkl" in ends and "data.pkl" in ends:
        raise Unreadable(
            "expected a dictionary of tensors, got a TorchScript program. "
            f"{advice}(torch.jit.load(FILE).state_dict(), OUTPUT)"
        )
    if any("exported_program" in end or end == "archive_format" for end in ends):
        raise Unreadable(
            "expected a dictionary of tensors, got a program of torch.export. "
            f"{advice}(torch.export.load(FILE).state_dict, OUTPUT)"
        )
    if "data.pkl" not in ends:
        inside = [n for n in names if n.endswith((".pt", ".pth", ".ckpt", ".safetensors"))]
        hint = f". Unpack it and name {inside[0]}" if inside else ""
        raise Unreadable(
            f"expected a file of torch.save (ZIP with data.pkl), got another ZIP archive{hint}"
        )


def _read_archive(content: bytes) -> Tensors:
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
    except zipfile.BadZipFile:
        raise Unreadable(f"expected a file of torch.save, got {ENDED}") from None
    names = archive.namelist()
    _refuse_other_archives(names)
    if sum(info.file_size for info in archive.infolist()) > 100 * len(content):
        raise Unreadable(
            "expected a file of torch.save, got an archive that is damaged, or made to fill the"
            " memory"
        )
    if not any(info.CRC for info in archive.infolist()):  # PyTorch can leave checksums out
        for info in archive.infolist():
            info.CRC = None  # pyright: ignore[reportAttributeAccessIssue]
    if archive.testzip() is not None:
        raise zipfile.BadZipFile(f"{archive.testzip()} is not what was saved")
    folder = next(n for n in names if n.endswith("data.pkl")).removesuffix("data.pkl")
    if f"{folder}byteorder" in names and archive.read(f"{folder}byteorder") == b"big":
        raise Unreadable("expected numbers in little-endian order, got big-endian ones")
    value = Machine(call, to_storage).run(io.BytesIO(archive.read(f"{folder}data.pkl")))
    return _tensors(
        value,
        lambda storage: archive.read(f"{folder}data/{storage.key}"),
        lambda storage: archive.getinfo(f"{folder}data/{storage.key}").file_size,
    )


def _read_stream(content: bytes) -> Tensors:
    """A file before PyTorch 1.6: magic number, version, system, values, keys, storages."""
    stream = io.BytesIO(content)
    storages: dict[str, Storage] = {}

    def load(identifier: Any) -> Storage:
        storage = to_storage(identifier)
        return storages.setdefault(storage.key, storage)

    first = Machine(call, load).run(stream)
    if first != LEGACY:
        raise Unreadable(f"expected a file of torch.save, got a plain pickle, {REFUSED}")
    _, _, value, keys = (Machine(call, load).run(stream) for _ in range(4))
    raw = {}
    for key in map(str, keys):
        [count] = struct.unpack("<q", stream.read(8))
        size = count * storages[key].itemsize
        raw[key] = stream.read(size)
        if count < 0 or len(raw[key]) != size:
            raise Unreadable(f"expected a file of torch.save, got {ENDED}")
    return _tensors(value, lambda storage: raw[storage.key], lambda storage: len(raw[storage.key]))


def read_torch(path: Path) -> Tensors:
    """The tensors of a file of `torch.save`, by name; names in nested dictionaries are joined by
    dots, as in `state_dict.features.conv0.weight`.

    Args:
      path: of the file.

    Raises:
      ValueError: naming the file and what in it is not understood, or that it is damaged.
    """
    try:
        content = path.read_bytes()
        return _read_archive(content) if content[:2] == b"PK" else _read_stream(content)
    except OSError as error:
        raise ValueError(f"{path}: expected a file of torch.save, got: {error.strerror}.") from None
    except Unreadable as error:
        raise ValueError(f"{path}: {error}.") from None
    except DAMAGE as error:
        raise ValueError(
            f"{path}: expected a dictionary of tensors, got a file that is damaged"
            f" ({error!s:.80}). Fetch it again."
        ) from None
