"""Test-time augmentation: the views of a scan over which a prediction is averaged."""

from itertools import product

import numpy as np

from fedbrain.data.augment import Change


def _view(flip: bool, move: tuple[int, int, int]) -> Change:
    return Change(
        drop=np.asarray(False),
        rank=np.zeros(1, np.float32),
        flip=np.asarray(flip),
        move=np.asarray(move, np.int32),
        matrix=np.eye(3, dtype=np.float32),
        offset=np.zeros(3, np.float32),
        gain=np.ones(1, np.float32),
        lift=np.zeros(1, np.float32),
    )


def plain() -> tuple[Change, ...]:
    """The scan as it is."""
    return (_view(False, (0, 0, 0)),)


def averaged(flip: bool = True, shift: int = 0) -> tuple[Change, ...]:
    """The scan, its mirror image, and both moved along each axis.

    Changes that training has used (`augment`) are worth averaging over; a network that was not
    trained on mirrored brains may become worse.

    Args:
      flip: adds the mirror image.
      shift: voxels of the moves, to either side; 0: no moves.

    >>> len(averaged()), len(averaged(shift=1))
    (2, 14)
    """
    if shift < 0:
        raise ValueError(f"Expected shift={shift} >= 0.")
    moves = [(0, 0, 0)]
    if shift:
        for axis, step in product(range(3), (-shift, shift)):
            moves.append((step * (axis == 0), step * (axis == 1), step * (axis == 2)))
    flips = (False, True) if flip else (False,)
    return tuple(_view(mirrored, move) for mirrored, move in product(flips, moves))


VIEWS = {"plain": plain, "averaged": averaged}
