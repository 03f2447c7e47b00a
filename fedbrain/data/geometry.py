"""Rotations of a volume's axes, and axes at right angles."""

from typing import Any, cast

import numpy as np
from jaxtyping import Float
from scipy import ndimage

RIGHT_ANGLE_DEGREES = 1.0  # arbitrary: rounding in headers makes less, a tilted gantry more


def rotation(angles: Float[np.ndarray, "3"]) -> Float[np.ndarray, "3 3"]:
    """Rotation by three angles, in radians, in the planes (0, 1), (0, 2) and (1, 2) in turn.

    >>> rotation(np.array([np.pi / 2, 0, 0])).round()
    array([[ 0., -1.,  0.],
           [ 1.,  0.,  0.],
           [ 0.,  0.,  1.]])
    """
    matrix = np.eye(3)
    for (i, j), angle in zip(((0, 1), (0, 2), (1, 2)), angles):
        plane = np.eye(3)
        plane[[i, j], [i, j]] = np.cos(angle)
        plane[i, j] = -np.sin(angle)
        plane[j, i] = np.sin(angle)
        matrix = matrix @ plane
    return matrix


def without_shear(
    data: Float[np.ndarray, "x y z"], affine: Float[np.ndarray, "4 4"], *, order: int
) -> tuple[Float[np.ndarray, "i j k"], Float[np.ndarray, "4 4"], float]:
    """Resamples an image whose axes are not at right angles onto a grid whose axes are.

        A = Q R: with Q orthogonal and R upper triangular, the new grid has the axes Q, the voxel
        size diag(R), and holds the whole image.

    Args:
      data: in RAS order.
      affine: voxel index -> mm.
      order: of the interpolation: 0 for labels, 1 for grey values.

    Returns:
      (image, affine, shear in degrees); the image itself, and 0, when the axes are at right angles.
    """
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    shear = np.degrees(np.arcsin(min(1.0, np.abs(axes.T @ axes - np.eye(3)).max())))
    if shear < RIGHT_ANGLE_DEGREES:
        return data, affine, 0.0
    q, r = np.linalg.qr(affine[:3, :3])
    signs = np.sign(np.diag(r))
    q, r = q * signs, r * signs[:, None]
    size_mm = np.diag(r)
    last = np.asarray(data.shape) - 1
    corners = r @ np.asarray(np.meshgrid(*[(0, n) for n in last], indexing="ij")).reshape(3, -1)
    origin = corners.min(1)
    shape = tuple(int(n) + 1 for n in np.round((corners.max(1) - origin) / size_mm))
    faces = [np.take(data, [0, -1], axis).ravel() for axis in range(3)]
    straight = ndimage.affine_transform(
        data,
        np.linalg.inv(r) * size_mm,
        cast(Any, np.linalg.solve(r, origin)),
        shape,
        order=order,
        cval=float(np.median(np.concatenate(faces))),
        prefilter=False,
    )
    moved = np.eye(4)
    moved[:3, :3], moved[:3, 3] = q * size_mm, affine[:3, 3] + q @ origin
    return straight, moved, float(shear)
