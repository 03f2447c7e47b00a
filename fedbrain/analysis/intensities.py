"""Do sites differ in the grey values that a network sees? Quantiles of scans, and distances.

A scan is put into quantiles of the voxels inside its head or brain; a site is the mean of its
people's quantiles. The distance of two sites is Wasserstein-1 between these means.

References:
  Panaretos and Zemel (2019), https://doi.org/10.1146/annurev-statistics-030718-104938
"""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from jaxtyping import Float

from fedbrain.data.field_of_view import otsu_threshold

LEVELS = (np.arange(101) + 0.5) / 101  # of the quantiles: midpoints, so that extremes are left out
MOST_SCANS = 64  # of a site
MOST_VOXELS = 20_000  # of a scan
FEWEST_PEOPLE = 4  # of a site
DRAWS = 1000

Quantiles = Float[np.ndarray, "_ levels"]


def evenly(count: int, most: int) -> list[int]:
    """At most `most` of `count` places, evenly chosen.

    >>> evenly(10, 4)
    [0, 2, 5, 7]
    """
    chosen = min(count, most)
    return [k * count // chosen for k in range(chosen)]


def of_scan(channel: Float[np.ndarray, "d h w"]) -> Float[np.ndarray, " levels"]:
    """Quantiles of the voxels inside; NaN where there are none, as for a missing modality.

    Args:
      channel: a prepared volume. Where voxels outside a mask are 0, those that are not 0 count;
        otherwise those above Otsu's threshold, as for a whole head.
    """
    values = np.asarray(channel, np.float64).ravel()
    inside = values[values != 0] if np.mean(values == 0) > 0.01 else _above(values)
    if not inside.size:
        return np.full(len(LEVELS), np.nan)
    return np.quantile(inside[:: -(-inside.size // MOST_VOXELS)], LEVELS)


def _above(values: Float[np.ndarray, " n"]) -> Float[np.ndarray, " inside"]:
    return values[values > otsu_threshold(values)] if np.ptp(values) else values[:0]


def of_site(volumes: Sequence[np.ndarray], subjects: Sequence[str], channel: int) -> Quantiles:
    """Mean quantiles of each person.

    Args:
      volumes: [d h w c] each; at most MOST_SCANS are read.
      subjects: of every scan.
      channel: which modality.
    """
    people: dict[str, list[np.ndarray]] = {}
    for k in evenly(len(volumes), MOST_SCANS):
        found = of_scan(volumes[k][..., channel])
        if np.isfinite(found).all():
            people.setdefault(subjects[k], []).append(found)
    rows = [np.mean(own, axis=0) for own in people.values()]
    return np.array(rows).reshape(-1, len(LEVELS))


def distance(a: Quantiles, b: Quantiles) -> float:
    """Wasserstein-1 between the mean quantiles of two groups of people.

    >>> distance(np.zeros((2, 101)), np.full((3, 101), 0.5))
    0.5
    """
    return float(np.abs(a.mean(0) - b.mean(0)).mean())


def interval(a: Quantiles, b: Quantiles, seed: int = 0) -> tuple[float, float]:
    """A 95 % interval of `distance` over people of both sites. Draws lie above a small distance, so
    the lower end mirrors the upper one and is cut at 0: near 0 it covers more than 95 %.
    """
    draw = np.random.default_rng(seed).multinomial
    means = [draw(len(q), np.full(len(q), 1 / len(q)), DRAWS) @ q / len(q) for q in (a, b)]
    high = float(np.quantile(np.abs(means[0] - means[1]).mean(1), 0.975))
    return max(0.0, 2 * distance(a, b) - high), high


def floor(a: Quantiles, b: Quantiles, seed: int = 0) -> float:
    """What two sites of these sizes would have by chance: the 95th percentile of the distance when
    people are dealt to them at random.
    """
    pooled, rng = np.concatenate([a, b]), np.random.default_rng(seed)
    order = rng.permuted(np.tile(np.arange(len(pooled)), (DRAWS, 1)), axis=1)
    first = (order < len(a)).astype(np.float64)
    means = first @ pooled / len(a) - (1 - first) @ pooled / len(b)
    return float(np.quantile(np.abs(means).mean(1), 0.95))


def compare(sites: Mapping[str, Quantiles]) -> dict[str, Any]:
    """Mean quantiles and people of every site, and distances; sites of fewer than FEWEST_PEOPLE are
    left out.
    """
    kept = {name: q for name, q in sites.items() if len(q) >= FEWEST_PEOPLE}
    return {
        "sites": {n: {"people": len(q), "quantiles": q.mean(0).tolist()} for n, q in kept.items()},
        "distances": {
            f"{a} - {b}": {
                "distance": distance(kept[a], kept[b]),
                "distance_95": interval(kept[a], kept[b]),
                "floor": floor(kept[a], kept[b]),
            }
            for a, b in combinations(kept, 2)
        },
    }
