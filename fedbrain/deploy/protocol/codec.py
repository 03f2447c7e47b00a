"""Numbers to bytes and back, bit for bit: the smallest of three codings that changes nothing.

Lossy compression is a link of the client's upload (`fedbrain.algorithms.compression`), the same in
simulation and deployment. Its results, bfloat16 values or eight-bit levels times a step, are
recognised here and sent in that form.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

Vector = Float[np.ndarray, " n"]
Data = bytes | bytearray | memoryview
BLOCK = 256  # numbers that share a step: the default of `int8`


class Coding(NamedTuple):
    """One way to write a float32 vector."""

    encode: Callable[[Vector], Data | None]  # None when a number would change
    decode: Callable[[Data, int], Vector]  # (bytes, n); ValueError when the length is wrong


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    return np.array_equal(a.view(np.uint32), b.view(np.uint32))


def _require(data: Data, size: int) -> None:
    if len(data) != size:
        raise ValueError(f"expected {size} bytes, got {len(data)}")


def _encode_bfloat16(x: Vector) -> bytes | None:
    if x.astype("<f4", copy=False).view("<u2")[::2].any():  # the half that bfloat16 does not have
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        small = x.astype(jnp.bfloat16)
    return small.tobytes() if _same(small.astype(np.float32), x) else None


def _decode_bfloat16(data: Data, n: int) -> Vector:
    _require(data, 2 * n)
    return np.frombuffer(data, jnp.bfloat16).astype(np.float32)


def _steps(blocks: np.ndarray) -> np.ndarray:
    """The step of every block whose levels are whole: max / 127, or a neighbour, since that
    division was rounded twice.
    """
    first = np.max(np.abs(blocks), axis=1, keepdims=True) / np.float32(127)
    best = np.where(first == 0, np.float32(1), first)
    wrong = np.ones(len(blocks), bool)
    for step in (
        first,
        np.nextafter(first, np.float32(0)),
        np.nextafter(first, np.float32(np.inf)),
    ):
        safe = np.where(step == 0, np.float32(1), step)
        fits = (np.rint(blocks / safe) * safe == blocks).all(1) & wrong
        best[fits], wrong = safe[fits], wrong & ~fits
    return best


def _encode_int8(x: Vector) -> bytes | None:
    if not np.isfinite(x).all():
        return None
    blocks = np.pad(x, (0, -x.size % BLOCK)).reshape(-1, BLOCK)
    for part in (blocks[:4], blocks):  # most vectors are refused by their beginning
        with np.errstate(over="ignore"):
            steps = _steps(part)
            levels = np.clip(np.rint(part / steps), -127, 127).astype(np.int8)
            if not _same((levels.astype(np.float32) * steps).reshape(-1), part.reshape(-1)):
                return None
    return steps.astype("<f4").tobytes() + levels.reshape(-1)[: x.size].tobytes()


def _decode_int8(data: Data, n: int) -> Vector:
    blocks = -(-n // BLOCK)
    _require(data, 4 * blocks + n)
    numbers = np.zeros((blocks, BLOCK), np.float32)
    numbers.reshape(-1)[:n] = np.frombuffer(data, np.int8, n, 4 * blocks)
    numbers *= np.frombuffer(data, "<f4", blocks)[:, None]  # in place: a cohort may be on its way
    return numbers.reshape(-1)[:n]


def _decode_float32(data: Data, n: int) -> Vector:
    _require(data, 4 * n)
    return np.frombuffer(data, "<f4").astype(np.float32, copy=False)


CODINGS: Mapping[str, Coding] = {  # smallest first; the last one always fits
    "int8": Coding(_encode_int8, _decode_int8),
    "bfloat16": Coding(_encode_bfloat16, _decode_bfloat16),
    "float32": Coding(lambda x: memoryview(x.astype("<f4", copy=False)).cast("B"), _decode_float32),
}


WHOLE = {"uint8": np.dtype("u1"), "uint64": np.dtype("<u8")}  # keys, and masked numbers


def encode(x: Vector | np.ndarray) -> tuple[str, Data]:
    """(name of the coding, bytes); as float32 they are the vector's own.

    Args:
      x: the numbers: float32, or whole ones of secure aggregation.
    """
    if x.dtype.name in WHOLE:
        return x.dtype.name, x.astype(WHOLE[x.dtype.name], copy=False).tobytes()
    for name, coding in CODINGS.items():
        data = coding.encode(np.ascontiguousarray(x, np.float32))
        if data is not None:
            return name, data
    raise AssertionError("float32 holds every float32 vector")


def decode(name: str, data: Data, n: int) -> Vector | np.ndarray:
    """The vector [n].

    Args:
      name: of the coding.
      data: the bytes.
      n: how many numbers they hold.

    Raises:
      ValueError: for an unknown coding or another number of bytes.
    """
    if name in WHOLE:
        _require(data, WHOLE[name].itemsize * n)
        return np.frombuffer(data, WHOLE[name])
    if name not in CODINGS:
        known = ", ".join([*CODINGS, *WHOLE])
        raise ValueError(f"expected a coding among {known}, got {name!r}")
    return CODINGS[name].decode(data, n)
