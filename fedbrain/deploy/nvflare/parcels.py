"""A large message travels in pieces that the receiver fetches one by one.

The engine passes bytes on as one block, which a receiver holds several times over while it unpacks
it. Arrays it lets the receiver fetch, each for itself: what has come stays when the line is cut
(`tests.faults.kills --plan=transfers`), and a server that hears many sites at once holds each
message about once (`benchmarks.deployment`).
"""

import numpy as np

from fedbrain.deploy.protocol.codec import Data

PIECE = 1 << 20  # bytes
SMALL = 4 * PIECE  # up to here one block: fetching costs a second on a fast line
Parcel = bytes | list[np.ndarray]


def pieces(data: bytes) -> Parcel:
    """The message as the engine should have it; nothing is copied.

    Args:
      data: the bytes of a message.
    """
    if len(data) <= SMALL:
        return data
    return [
        np.frombuffer(data, np.uint8, min(PIECE, len(data) - start), start)
        for start in range(0, len(data), PIECE)
    ]


def whole(parcel: object) -> Data:
    """The inverse of `pieces`; takes them out of the parcel, so that a message is in memory once.

    What is no parcel is an empty message, which every reader refuses.

    Args:
      parcel: as the engine delivered it.
    """
    if isinstance(parcel, bytes):
        return parcel
    parts = parcel if isinstance(parcel, list) else []
    if not all(isinstance(x, np.ndarray) and x.dtype == np.uint8 and x.ndim == 1 for x in parts):
        return b""
    data, start = bytearray(sum(map(len, parts))), 0
    while parts:
        part = parts.pop(0)
        memoryview(data)[start : start + len(part)] = part
        start += len(part)
    return data
