"""Scalars in the event files that TensorBoard reads, written without a library.

    record = length (8 bytes), check of the length (4), content, check of the content (4)
    check  = ((c >> 15) | (c << 17)) + 0xa282ead8 mod 2^32,    c: CRC-32C

The content is a protocol buffer: wall time, round, and pairs of a name and a float32.

References:
  TensorFlow, record_writer.h and event.proto, https://github.com/tensorflow/tensorflow
  Castagnoli et al. (1993), https://doi.org/10.1109/26.231911
"""

import struct
from collections.abc import Mapping

POLYNOMIAL = 0x82F63B78  # of CRC-32C, least bit first
VERSION = "brain.Event:2"  # what the first record of a file says


def _row(byte: int) -> int:
    for _ in range(8):
        byte = (byte >> 1) ^ (POLYNOMIAL if byte & 1 else 0)
    return byte


TABLE = [_row(byte) for byte in range(256)]


def crc32c(data: bytes) -> int:
    """The checksum of Castagnoli.

    Args:
      data: any bytes.

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    crc = 0xFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def _check(data: bytes) -> bytes:
    crc = crc32c(data)
    return struct.pack("<I", (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF)


def record(content: bytes) -> bytes:
    """A record of a file.

    Args:
      content: of the record.
    """
    length = struct.pack("<Q", len(content))
    return length + _check(length) + content + _check(content)


def _varint(value: int) -> bytes:
    parts = []
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])


def _field(number: int, content: bytes) -> bytes:
    """A field of bytes."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def first_record(wall_time: float) -> bytes:
    """What a file begins with.

    Args:
      wall_time: seconds since 1970.
    """
    return record(b"\x09" + struct.pack("<d", wall_time) + _field(3, VERSION.encode()))


def scalars(wall_time: float, step: int, values: Mapping[str, float]) -> bytes:
    """A record of numbers.

    Args:
      wall_time: seconds since 1970.
      step: the round.
      values: name -> number.
    """
    summary = b"".join(
        _field(1, _field(1, name.encode()) + b"\x15" + struct.pack("<f", value))
        for name, value in values.items()
    )
    return record(
        b"\x09" + struct.pack("<d", wall_time) + b"\x10" + _varint(step) + _field(5, summary)
    )
