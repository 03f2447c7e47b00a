"""An update as whole numbers that add up: n x in fixed point, n, and sums of metrics.

The server learns sums over all sites, as `fedbrain.aggregators.fixed_point.masked_mean` has them.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from fedbrain.aggregators.fixed_point import LARGEST, SCALE
from fedbrain.deploy.protocol.wire import Refused

Whole = np.ndarray  # uint64 [n]: whole numbers modulo 2^64, negative ones from above
METRICS = 2.0**10  # scale of metrics
LOST = 1e-3  # share of an update's norm that rounding may change


class Total(NamedTuple):
    """What all sites together sent."""

    mean: Float[np.ndarray, " p"]  # of the updates, weighted
    weight: float  # number of training scans
    metrics: dict[str, float]  # sums


def to_fixed(
    delta: Float[np.ndarray, " p"],
    weight: float,
    metrics: Mapping[str, float],
    *,
    sites: int,
) -> Whole:
    """A site's numbers, to be masked: [p + 1 + metrics].

    Args:
      delta: the update.
      weight: number of training scans.
      metrics: sums, in the order of their names.
      sites: of the consortium: all of their numbers must fit into a sum.

    Raises:
      Refused: for a number that is too large, or an update so small that rounding would take it.
    """
    exact = delta.astype(np.float64) * weight * SCALE
    rest = np.asarray([weight, *(metrics[name] for name in sorted(metrics))], np.float64) * METRICS
    numbers = np.concatenate([exact, rest])
    largest = float(np.abs(numbers).max(initial=0))
    if not largest * sites < LARGEST:  # NaN too
        raise Refused(
            f"delta: expected numbers whose sum over {sites} sites stays below"
            f" {LARGEST / SCALE:.3g}, got {largest / SCALE:.3g}. Lower the learning rate."
        )
    whole = np.rint(numbers)
    lost = float(np.linalg.norm(whole[: delta.size] - exact))
    if lost > LOST * float(np.linalg.norm(exact)):
        raise Refused(
            f"delta: expected an update that steps of {1 / SCALE:.2g} can tell, got one of which"
            " rounding would change more than a thousandth."
        )
    return whole.astype(np.int64).view(np.uint64)


def from_fixed(total: Whole, names: Sequence[str]) -> Total:
    """The inverse, for the sum over all sites.

    Args:
      total: [p + 1 + metrics], without masks.
      names: of the metrics, sorted.

    Raises:
      Refused: when it is no sum of such numbers: a mask is left over.
    """
    numbers = total.view(np.int64).astype(np.float64)
    if np.abs(numbers).max(initial=0) >= LARGEST:
        raise Refused("expected a sum of fixed-point numbers, got one under a mask")
    weight, *metrics = (numbers[total.size - 1 - len(names) :] / METRICS).tolist()
    p = total.size - 1 - len(names)
    mean = numbers[:p] / (SCALE * max(weight, 1))
    return Total(mean.astype(np.float32), weight, dict(zip(names, metrics)))
