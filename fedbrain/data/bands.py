"""Classes of people by a column: what results are told by.

A person counts with the first known value of the column, as in tables of the data.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from fedbrain.data import describe
from fedbrain.data.dataset import Scans


class Bands(NamedTuple):
    """The classes of a column: lows <= value < highs, or one value each."""

    edges: tuple[float, ...]  # values beyond them count in the outer classes
    lows: tuple[float, ...]  # of each class
    highs: tuple[float, ...]  # the same where a class is one value


def histogram(column: str, low: float | int, high: float | int, bins: int) -> tuple[str, Bands]:
    """A column, "target" or a name, in bands of equal width.

    >>> histogram("age", 20, 80, bins=2)[1]
    Bands(edges=(20.0, 50.0, 80.0), lows=(20.0, 50.0), highs=(50.0, 80.0))
    """
    column, edges = describe.histogram(column, low, high, bins)
    return column, Bands(edges, edges[:-1], edges[1:])


def classes(column: str, *values: float | int) -> tuple[str, Bands]:
    """A column of classes.

    >>> classes("sex", 0, 1)[1].lows
    (0.0, 1.0)
    """
    column, edges = describe.classes(column, *values)
    each = tuple(float(v) for v in values)
    return column, Bands(edges, each, each)


BANDS = {"histogram": histogram, "classes": classes}


def class_of(bands: Bands, value: float) -> int:
    """The number of the class that a value is in.

    >>> [class_of(classes("sex", 0, 1)[1], x) for x in (-3.0, 0.0, 1.0, 7.0)]
    [0, 0, 1, 1]
    """
    inside = np.searchsorted(bands.edges, value, side="right") - 1
    return int(np.clip(inside, 0, len(bands.lows) - 1))


def classes_of_people(scans: Scans, column: str, bands: Bands) -> dict[str, int]:
    """Person -> class, without those who have no value.

    Args:
      scans: of a site.
      column: "target" or a name.
      bands: of the column.
    """
    values = scans.target if column == "target" else scans.columns.get(column, ())
    first: dict[str, int] = {}
    for subject, value in zip(scans.subjects, values):
        if np.isfinite(value):
            first.setdefault(subject, class_of(bands, float(value)))
    return first


def require_columns(columns: Iterable[str], clients: Mapping[str, Scans]) -> None:
    """Refuses a column of which no site knows a value.

    Args:
      columns: that results are to be told by.
      clients: name -> scans.

    Raises:
      ValueError: naming the field and the column.
    """
    for column in columns:
        known = [np.isfinite(s.columns[column]) for s in clients.values() if column in s.columns]
        if column != "target" and not any(x.any() for x in known):
            have = sorted({"target", *(name for s in clients.values() for name in s.columns)})
            raise ValueError(
                f"config.report_by: expected a column of which a site knows values, got {column!r};"
                f" there are: {', '.join(have)}. Name it at the site: columns={{'{column}':"
                " 'COLUMN'}."
            )
