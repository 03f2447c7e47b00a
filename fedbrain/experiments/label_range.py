"""The labels of every client at a glance: a column of months, or one that means something else."""

from collections.abc import Iterator, Mapping

import numpy as np
from jaxtyping import Float

from fedbrain.data.dataset import Scans

OLDEST_YEARS = 120.0
APART = 5.0  # ratio of two clients' medians beyond which one of them is doubted; arbitrary

Labels = Mapping[str, Float[np.ndarray, "_"]]


def labels_of(clients: Mapping[str, Scans]) -> Labels:
    """Client -> the labels that are known, one a scan, in the target's unit.

    Args:
      clients: name -> scans; no volume is read.
    """
    return {name: scans.target[np.isfinite(scans.target)] for name, scans in clients.items()}


def describe_labels(labels: Labels, unit: str, classes: tuple[str, ...]) -> Iterator[str]:
    """A line for each client: smallest, median and largest label, or scans of each class.

    >>> list(describe_labels({"a": np.array([20.0, 30, 75])}, "years", ()))
    ['  a: labels from 20 to 75 years, median 30']
    >>> list(describe_labels({"a": np.array([0.0, 1, 1])}, "class", ("control", "patient")))
    ['  a: labels (scans): control 1, patient 2']

    Args:
      labels: as `labels_of` gives them.
      unit: of the target.
      classes: their names; empty where the target is a number.
    """
    for name, values in labels.items():
        if classes:
            counts = [f"{c} {np.sum(values == k)}" for k, c in enumerate(classes)]
            yield f"  {name}: labels (scans): {', '.join(counts)}"
        elif values.size:
            yield (
                f"  {name}: labels from {values.min():g} to {values.max():g} {unit}, median"
                f" {np.median(values):g}"
            )


def odd_labels(labels: Labels, unit: str) -> Iterator[str]:
    """Sentences on labels that are all equal, no ages though in years, or of another scale.

    Args:
      labels: as `labels_of` gives them; of numbers, not of classes.
      unit: of the target.
    """
    for name, values in labels.items():
        if values.size > 1 and np.ptp(values) == 0:
            yield f"{name}: every label is {values[0]:g}: there is nothing to tell apart there."
    if unit == "years":
        strange = [name for name, v in labels.items() if np.any((v < 0) | (v > OLDEST_YEARS))]
        yield from (_no_age(name, labels[name]) for name in strange)
        if strange:
            return
    typical = {name: float(np.median(v)) for name, v in labels.items() if v.size}
    if len(typical) < 2 or min(typical.values()) <= 0:
        return
    low, high = min(typical, key=lambda n: typical[n]), max(typical, key=lambda n: typical[n])
    if typical[high] > APART * typical[low]:
        yield (
            f"labels of {high} (median {typical[high]:g}) are {typical[high] / typical[low]:.1f}"
            f" times those of {low} (median {typical[low]:g}): do both sites name the same column,"
            " in the same unit?"
        )


def _no_age(name: str, values: Float[np.ndarray, "_"]) -> str:
    count = np.sum((values < 0) | (values > OLDEST_YEARS))
    return (
        f"{name}: {count} of {values.size} labels are no ages in years (they go from"
        f" {values.min():g} to {values.max():g}): months, a code for unknown, or another column?"
        " Correct the table or the label; config.unit names another unit."
    )
