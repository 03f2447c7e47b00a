"""Arrays in a `.safetensors` file, with a checksum and a description of the model beside them."""

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Shaped
from safetensors import SafetensorError, deserialize
from safetensors.numpy import save

from fedbrain.data.whole_file import write_whole

CHECKSUM = "sha256_of_arrays"  # an entry of the description
# BF16 is the upper half of a float32. Other types (float8, float4, ...) come with scales of their
# own, which only the program that wrote the file knows.
DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "U64": "<u8",
    "I32": "<i4", "U32": "<u4", "I16": "<i2", "U16": "<u2", "I8": "<i1", "U8": "<u1", "BOOL": "?",
}  # fmt: skip


def is_safetensors(head: bytes) -> bool:
    """Whether a file begins as a `.safetensors` file does: the length of a header, and the header.

    Args:
      head: the first bytes of the file.
    """
    return len(head) > 8 and head[8:9] == b"{" and head[5:8] == bytes(3)


def _digest(arrays: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        value = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {value.dtype} {value.shape}\n".encode())
        digest.update(value.tobytes())
    return digest.hexdigest()


def _array(path: Path, name: str, value: Mapping) -> Shaped[np.ndarray, "..."]:
    dtype, shape = value["dtype"], value["shape"]
    if dtype not in DTYPES:
        raise ValueError(
            f"{path}: {name}: expected float64, float32, float16 or bfloat16, got {dtype}. Convert"
            " the file to float32 with the program that wrote it."
        )
    array = np.frombuffer(value["data"], DTYPES[dtype], count=math.prod(shape)).reshape(shape)
    return (array.astype(np.uint32) << 16).view(np.float32) if dtype == "BF16" else array


def read_description(content: bytes) -> dict[str, str]:
    """What a file says about itself.

    Args:
      content: of a whole file.
    """
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length]).get("__metadata__", {})


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a file by name; bfloat16 becomes float32, without loss.

    Args:
      path: of the file.

    Raises:
      ValueError: naming the file, for one that is damaged, or has numbers of another type.
    """
    content = path.read_bytes()
    try:
        stored = deserialize(content)
        expected = read_description(content).get(CHECKSUM)
    except (SafetensorError, ValueError) as error:
        raise ValueError(
            f"{path}: expected a .safetensors file, got one that is damaged ({error}). Fetch it"
            " again."
        ) from None
    arrays = {name: _array(path, name, value) for name, value in stored}
    if expected not in (None, _digest(arrays)):
        raise ValueError(
            f"{path}: expected the numbers that were written, got a file that is damaged (its"
            " checksum differs). Fetch it again."
        )
    return arrays


def _in_one_order(content: bytes) -> bytes:
    """A file with its description sorted by name: the library writes it in an order by chance.

    Args:
      content: of a whole file.
    """
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # arrays begin at a multiple of 8 bytes
    return len(text).to_bytes(8, "little") + text + content[8 + length :]


def write_safetensors(
    path: Path, arrays: Mapping[str, np.ndarray], description: Mapping[str, str]
) -> None:
    """Writes a file.

    Args:
      path: of the file.
      arrays: by name.
      description: what the file says about itself; a checksum of the arrays is added.

    Raises:
      ValueError: when the file cannot be written.
    """
    contiguous = {name: np.ascontiguousarray(value) for name, value in arrays.items()}
    metadata = {**description, CHECKSUM: _digest(contiguous)}
    try:
        write_whole(path, _in_one_order(save(contiguous, metadata=metadata)))
    except OSError as error:
        raise ValueError(f"{path}: the file cannot be written: {error.strerror}.") from None
