"""A large message travels in pieces that the receiver fetches one by one.

The engine passes bytes on as one block, which a receiver holds several times over while it unpacks it, and sends again from
the start when the line is cut. Arrays it lets the receiver fetch, each for itself: what has come stays, and a server that
hears many sites at once holds each message once.
"""

import numpy as np

PIECE = 1 << 20  # bytes
SMALL = 4 * PIECE  # up to here one block: fetching costs a second on a fast line
Parcel = bytes | list[np.ndarray]


def pieces(data: bytes) -> Parcel:
    """The message as the engine should have it; nothing is copied."""
    if len(data) <= SMALL:
        return data
    return [np.frombuffer(data, np.uint8, min(PIECE, len(data) - start), start) for start in range(0, len(data), PIECE)]


def whole(parcel: object) -> bytes:
    """The inverse of `pieces`. What is no parcel is an empty message, which every reader refuses."""
    if isinstance(parcel, bytes):
        return parcel
    fine = isinstance(parcel, list) and all(
        isinstance(x, np.ndarray) and x.dtype == np.uint8 and x.ndim == 1 for x in parcel
    )
    return b"".join(parcel) if fine else b""  # pyright: ignore[reportCallIssue, reportArgumentType]
