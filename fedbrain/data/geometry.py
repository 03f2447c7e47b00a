"""Rotations of a volume's axes."""

import numpy as np
from jaxtyping import Float


def rotation(angles: Float[np.ndarray, "3"]) -> Float[np.ndarray, "3 3"]:
    """Rotations by three angles, in radians, in the planes (0, 1), (0, 2) and (1, 2), one after the
    other.
    """
    matrix = np.eye(3)
    for (i, j), angle in zip(((0, 1), (0, 2), (1, 2)), angles):
        turn = np.eye(3)
        turn[[i, j], [i, j]] = np.cos(angle)
        turn[i, j], turn[j, i] = -np.sin(angle), np.sin(angle)
        matrix = matrix @ turn
    return matrix
