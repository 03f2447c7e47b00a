"""Test-time augmentation: the views of a scan over which a prediction is averaged."""

from itertools import product

import numpy as np

from fedbrain.data.augment import Change


def _view(flip: bool, move: tuple[int, int, int]) -> Change:
    one, zero = np.ones(1, np.float32), np.zeros(1, np.float32)
    flat = np.asarray(False), zero, np.asarray(flip), np.asarray(move, np.int32)
    return Change(*flat, np.eye(3, dtype=np.float32), np.zeros(3, np.float32), one, zero)


def plain() -> tuple[Change, ...]:
    """The scan as it is."""
    return (_view(False, (0, 0, 0)),)


def averaged(flip: bool = True, shift: int = 0) -> tuple[Change, ...]:
    """The scan, its mirror image, and both moved by `shift` voxels to either side along each axis:
    2, or 14, views.

    What training saw (`augment`) is worth averaging over; a network that never saw a mirrored brain
    may get worse.
    """
    if shift < 0:
        raise ValueError(f"Expected shift={shift} >= 0.")
    moves = [(0, 0, 0)]
    if shift:
        moves += [
            (sign * shift * (axis == 0), sign * shift * (axis == 1), sign * shift * (axis == 2))
            for axis in range(3)
            for sign in (-1, 1)
        ]
    return tuple(
        _view(mirrored, move)
        for mirrored, move in product((False, True) if flip else (False,), moves)
    )


VIEWS = {"plain": plain, "averaged": averaged}
