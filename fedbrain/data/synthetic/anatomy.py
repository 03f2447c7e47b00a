"""An average brain that ages: tissue maps for given volumes of grey matter and ventricles.

Ventricles grow along their distance map until they have the target volume; grey matter turns to
fluid where it borders on fluid until it has the target volume. Volumes are fractions of the
intracranial volume (ICV).
"""

import threading
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy import ndimage

VOXEL_MM = 3.0
TEMPLATE = Path(__file__).parent / "template.npz"
Grid = Float[np.ndarray, "x y z"]


class Tissues(NamedTuple):
    """Tissue fractions of each voxel; they sum to 1 inside the head and to 0 outside."""

    gm: Grid
    wm: Grid
    csf: Grid  # ventricles included


class Atlas(NamedTuple):
    """The template and what is computed from it once."""

    gm: Grid
    wm: Grid
    brain: Grid  # 1 inside
    ventricle_mm: Grid  # distance to the ventricle's surface, negative inside
    exposed: Grid  # how much a voxel borders on fluid
    growth_mm: Float[np.ndarray, " k"]  # shifts of the ventricle's surface
    ventricle_volume: Float[np.ndarray, " k"]  # voxels inside the surface, for every shift


_loading = threading.Lock()


def atlas() -> Atlas:
    """The template (see NOTICE.template), loaded once: threads that ask together wait for it.

    numpy reads the header of an array with `ast.literal_eval`, which fails now and then when
    several threads of Python 3.11 are in it.
    """
    with _loading:
        return _load()


@cache
def _load() -> Atlas:
    names = ("gm", "wm", "csf", "ventricles")
    with np.load(TEMPLATE) as maps:
        gm, wm, csf, ventricles = (maps[name].astype(np.float32) / 15 for name in names)
    total = gm + wm + csf + ventricles
    brain = (total > 0.5).astype(np.float32)

    def fraction(tissue: Grid) -> Grid:
        return np.where(brain > 0, tissue / np.maximum(total, 1e-3), 0).astype(np.float32)

    gm, wm = fraction(gm), fraction(wm)
    inside = ventricles > 0.4
    outward = np.asarray(ndimage.distance_transform_edt(~inside))
    inward = np.asarray(ndimage.distance_transform_edt(inside))
    distance = (ndimage.gaussian_filter(outward - inward, 0.5) * VOXEL_MM).astype(np.float32)
    fluid = np.where(brain > 0, csf, 1.0).astype(np.float32)
    exposed = np.clip(2 * ndimage.gaussian_filter(fluid, 1.0), 0, 1)
    growth = np.linspace(-4, 14, 37)
    volume = np.asarray([(_enlarged(distance, t) * brain).sum() for t in growth])
    return Atlas(gm, wm, brain, distance, exposed, growth, volume)


def _enlarged(distance_mm: Grid, growth_mm: float) -> Grid:
    """The fraction of each voxel within `growth_mm` of the ventricles."""
    depth = (distance_mm - np.float32(growth_mm)) / np.float32(0.8)
    return 1 / (1 + np.exp(np.clip(depth, -30, 30)))


def expected_volumes(age_years: float) -> tuple[float, float]:
    """Mean (grey matter, ventricle) fraction of ICV in healthy adults.

    Grey matter is 51.9 % at 32 years and loses 1.30 points a decade before 50, 2.47 after; the
    ventricles are 1.10 % at 40, with a log slope of .11 a decade before 50 and .39 after. Measured
    on 181 adults of the IXI Hammersmith data (region volumes by DLMUSE).

    >>> gm, ventricles = expected_volumes(32.0)
    >>> round(gm, 3), round(float(ventricles), 4)
    (0.519, 0.0101)
    """
    young = min(age_years, 50.0)
    old = max(age_years - 50.0, 0.0)
    gm = 0.519 - 0.00130 * (young - 32) - 0.00247 * old
    ventricles = 0.0110 * np.exp(0.011 * (young - 40) + 0.039 * old)
    return gm, ventricles


def grow_old(gm_fraction: float, ventricle_fraction: float) -> Tissues:
    """Tissue maps with the given volumes, as fractions of ICV."""
    a = atlas()
    icv = a.brain.sum()
    growth = np.interp(ventricle_fraction * icv, a.ventricle_volume, a.growth_mm)
    ventricles = _enlarged(a.ventricle_mm, growth) * a.brain
    gm, wm = a.gm * (1 - ventricles), a.wm * (1 - ventricles)
    loss = gm * a.exposed
    amount = np.clip((gm.sum() - gm_fraction * icv) / loss.sum(), -0.5, 1.0)
    gm = np.clip(gm - np.float32(amount) * loss, 0, 1)
    wm = np.minimum(wm, a.brain - gm)
    return Tissues(gm, wm, a.brain - gm - wm)
