"""Files as torch.save writes them, made without torch: what `fedbrain.models.files.torch_file` must
read, and what it must refuse.
"""

import zipfile
from pathlib import Path

import numpy as np

STORAGE = {"float32": b"FloatStorage", "int64": b"LongStorage"}


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
