"""Numbers about a prepared scan, and the rule that passes it, shows it to a person, or fails it.

Every number is about one way to go wrong: a registration to the wrong place, a mask that takes too
much or too little, a head that is cut off, an image without contrast.
"""

from typing import Any, NamedTuple, cast

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage
from scipy.stats import rankdata

from fedbrain.data.decisions import VERDICTS
from fedbrain.data.field_of_view import otsu_threshold
from fedbrain.data.nifti import Volume
from fedbrain.preprocessing.template import brain_on, template


class Bounds(NamedTuple):
    """A row of `BOUNDS`: a person looks outside the first two, and outside the others it fails."""

    means: str
    look_below: float
    look_above: float
    fail_below: float
    fail_above: float


NO = float("inf")
BOUNDS = {
    "similarity": Bounds("rank correlation with the template in its brain", 0.35, NO, 0.25, NO),
    "overlap": Bounds("Dice of the brain with the template's", 0.88, NO, 0.75, NO),
    "brain_ml": Bounds("volume of the brain, mL", 1000, 1900, 600, 2400),
    "covered": Bounds("share of the template's brain in the field of view", 0.99, NO, 0.9, NO),
    "stretch_min": Bounds("smallest stretch to the template", 0.85, NO, 0.7, NO),
    "stretch_max": Bounds("largest stretch to the template", -NO, 1.4, -NO, 1.7),
    "turn_degrees": Bounds("turn to the template", -NO, 40, -NO, 75),
    "contrast": Bounds("bright and dark tissue, difference by SD", 1.5, NO, 0.8, NO),
    "noise": Bounds("SD of noise by the brightness of tissue", -NO, 0.08, -NO, 0.2),
}


def measure(
    volume: Volume, brain: Bool[np.ndarray, "x y z"], to_mni: Float[np.ndarray, "4 4"]
) -> dict[str, float]:
    """The numbers of `BOUNDS`, in their order.

    Args:
      volume: the native T1w, without bias field.
      brain: on its voxels.
      to_mni: voxel index -> mm in MNI space.
    """
    turn, stretch = _turn_and_stretch(to_mni @ np.linalg.inv(volume.affine))
    expected = brain_on(volume.data.shape, to_mni)
    tissue = volume.data[brain & (volume.data > 0)]
    numbers = {
        "similarity": similarity(volume.data, to_mni),
        "overlap": float(2 * (expected & brain).sum() / max(1, expected.sum() + brain.sum())),
        "brain_ml": float(brain.sum() * np.prod(volume.voxel_size_mm) / 1000),
        "covered": _covered(volume.data.shape, to_mni),
        "stretch_min": float(stretch.min()),
        "stretch_max": float(stretch.max()),
        "turn_degrees": turn,
        "contrast": _contrast(tissue),
        "noise": _noise(volume.data, brain, tissue),
    }
    return {name: round(value, 4) for name, value in numbers.items()}


def judge(numbers: dict[str, float]) -> tuple[str, list[str]]:
    """(pass, look or fail; a phrase for every number outside its bounds).

    >>> judge(dict.fromkeys(BOUNDS, 1.0) | {"brain_ml": 500.0, "contrast": 3.0, "noise": 0.0})
    ('fail', ['brain_ml 500 (expected 1000 to 1900)'])
    """
    worst, phrases = 0, []
    for name, bounds in BOUNDS.items():
        value = numbers[name]
        if not bounds.fail_below <= value <= bounds.fail_above:
            level = 2
        else:
            level = 0 if bounds.look_below <= value <= bounds.look_above else 1
        worst = max(worst, level)
        if level:
            phrases.append(f"{name} {value:g} (expected {expected(bounds)})")
    return VERDICTS[worst], phrases


def expected(bounds: Bounds) -> str:
    """What passes, in words.

    >>> expected(BOUNDS["turn_degrees"])
    'at most 40'
    """
    if bounds.look_above == NO:
        return f"at least {bounds.look_below:g}"
    if bounds.look_below == -NO:
        return f"at most {bounds.look_above:g}"
    return f"{bounds.look_below:g} to {bounds.look_above:g}"


def _turn_and_stretch(move: Float[np.ndarray, "4 4"]) -> tuple[float, Float[np.ndarray, "3"]]:
    """(angle in degrees, stretch along three axes) of an affine, by its polar decomposition."""
    left, stretch, right = np.linalg.svd(move[:3, :3])
    cosine = (np.trace(left @ right) - 1) / 2
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1)))), stretch


def _on_template(data: Float[np.ndarray, "x y z"], to_mni: Float[np.ndarray, "4 4"]):
    """The image on the template's voxels; NaN where it has none."""
    head, _, affine = template()
    move = np.linalg.inv(to_mni) @ affine
    growth = np.linalg.norm(move[:3, :3], axis=1) - 1
    smooth = ndimage.gaussian_filter(data, np.maximum(0, 0.5 * growth))
    return ndimage.affine_transform(
        smooth, move[:3, :3], cast(Any, move[:3, 3]), head.shape, order=1, cval=np.nan
    )


def similarity(data: Float[np.ndarray, "x y z"], to_mni: Float[np.ndarray, "4 4"]) -> float:
    """Rank correlation with the template in its brain, from -1 to 1; 0 without contrast.

    Args:
      data: the native T1w.
      to_mni: voxel index -> mm in MNI space.
    """
    head, brain, _ = template()
    moved = _on_template(data, to_mni)
    inside = (brain > 0.5) & np.isfinite(moved)
    if not inside.any() or moved[inside].min() == moved[inside].max():
        return 0.0
    return float(np.corrcoef(rankdata(moved[inside]), rankdata(head[inside]))[0, 1])


def _covered(shape: tuple[int, ...], to_mni: Float[np.ndarray, "4 4"]) -> float:
    _, brain, affine = template()
    points = np.argwhere(brain > 0.5)
    move = np.linalg.inv(to_mni) @ affine
    index = points @ move[:3, :3].T + move[:3, 3]
    return float(((index > -0.5) & (index < np.asarray(shape) - 0.5)).all(1).mean())


def _contrast(tissue: Float[np.ndarray, " n"]) -> float:
    if tissue.size < 2 or tissue.std() == 0:
        return 0.0
    bright = tissue > otsu_threshold(np.minimum(tissue, np.percentile(tissue, 99.5)))
    if bright.all() or not bright.any():
        return 0.0
    high, low = tissue[bright], tissue[~bright]
    return float((high.mean() - low.mean()) / np.sqrt((high.var() + low.var()) / 2 + 1e-12))


def _noise(
    data: Float[np.ndarray, "x y z"],
    brain: Bool[np.ndarray, "x y z"],
    tissue: Float[np.ndarray, " n"],
) -> float:
    """SD of noise from second differences, which cancel what is smooth, by the mean grey value.

        E |x[i-1] - 2 x[i] + x[i+1]| = sqrt(6) sd sqrt(2 / pi)   for white noise

    The median in place of the mean, whose factor is 0.6745, ignores edges.
    """
    inner = ndimage.binary_erosion(brain, iterations=2)
    if not inner.any() or not tissue.mean() > 0:
        return 0.0
    spread = [
        np.median(np.abs(ndimage.convolve1d(data, [1.0, -2.0, 1.0], axis)[inner]))
        for axis in range(3)
    ]
    return float(min(spread) / (0.6745 * np.sqrt(6)) / tissue.mean())
