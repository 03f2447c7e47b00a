"""Files as torch.save writes them, made without torch: what `fedbrain.models.files.torch_file` must
read, and what it must refuse.
"""

import zipfile
from pathlib import Path

import numpy as np

STORAGE = {
    "float32": b"FloatStorage",
    "float16": b"HalfStorage",
    "float64": b"DoubleStorage",
    "int64": b"LongStorage",
    "int8": b"CharStorage",
    "uint16": b"BFloat16Storage",  # its bits: NumPy has no such type
}
MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # before PyTorch 1.6


def _text(text: str) -> bytes:
    raw = text.encode()
    return b"X" + len(raw).to_bytes(4, "little") + raw


def _int(value: int) -> bytes:
    return b"J" + value.to_bytes(4, "little", signed=True)


def _tuple(*items: bytes) -> bytes:
    return b"(" + b"".join(items) + b"t"


def _global(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def _tensor(value: np.ndarray, key: str) -> bytes:
    kind = _global("torch", STORAGE[value.dtype.name].decode())
    storage = _tuple(_text("storage"), kind, _text(key), _text("cpu"), _int(value.size)) + b"Q"
    strides = [s // value.itemsize for s in value.strides]
    empty = _global("collections", "OrderedDict") + b")R"
    arguments = _tuple(
        storage,
        _int(0),
        _tuple(*map(_int, value.shape)),
        _tuple(*map(_int, strides)),
        b"\x89",
        empty,
    )
    return _global("torch._utils", "_rebuild_tensor_v2") + arguments + b"R"


def bfloat16(value: np.ndarray) -> np.ndarray:
    """The upper halves of float32 numbers."""
    return (np.ascontiguousarray(value, np.float32).view(np.uint32) >> 16).astype(np.uint16)


def item(key: str, code: bytes) -> bytes:
    """An entry of a dictionary."""
    return _text(key) + code


def mapping(*items: bytes) -> bytes:
    """Instructions that describe a dictionary."""
    return b"}(" + b"".join(items) + b"u"


def call(module: str, name: str, *arguments: bytes) -> bytes:
    """Instructions that call a function."""
    return _global(module, name) + _tuple(*arguments) + b"R"


def new(module: str, name: str) -> bytes:
    """Instructions that make an object with a dictionary of attributes."""
    return _global(module, name) + b")\x81" + mapping(item("lr", _int(3))) + b"b"


def write_legacy(path: Path, tensors: dict[str, np.ndarray], code: bytes) -> None:
    """A file as torch.save wrote it before PyTorch 1.6."""
    keys = b"](" + b"".join(_text(str(i)) for i in range(len(tensors))) + b"e"
    parts = [b"\x80\x02" + part + b"." for part in (b"M\xe9\x03", b"}", code, keys)]
    raw = [
        value.size.to_bytes(8, "little") + np.ascontiguousarray(value).tobytes()
        for value in tensors.values()
    ]
    path.write_bytes(MAGIC + b"".join(parts + raw))


def dictionary(tensors: dict[str, np.ndarray]) -> bytes:
    """Instructions that describe an OrderedDict of tensors."""
    items = b"".join(
        _text(name) + _tensor(value, str(i)) for i, (name, value) in enumerate(tensors.items())
    )
    return _global("collections", "OrderedDict") + b")R(" + items + b"u"


def write(path: Path, tensors: dict[str, np.ndarray], code: bytes | None = None) -> None:
    """A file with these tensors, or with other instructions than those that describe them."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(
            "archive/data.pkl", b"\x80\x02" + (dictionary(tensors) if code is None else code) + b"."
        )
        archive.writestr("archive/version", "3\n")
        for i, value in enumerate(tensors.values()):
            archive.writestr(f"archive/data/{i}", np.ascontiguousarray(value).tobytes())
