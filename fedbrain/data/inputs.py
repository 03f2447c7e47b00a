"""Inputs of a network beside grey values: covariates, and which modalities are there.

    covariates = [(column - centre) / scale, 0 where unknown, for every column;
                  1 or 0 for every modality, where there are several]

Centres and scales are constants of the experiment: no statistic of a site is needed for them.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from fedbrain.data.augment import Augment
from fedbrain.data.dataset import Scans

Scaling = Callable[[np.ndarray], np.ndarray]


class Inputs(NamedTuple):
    """How scans become inputs."""

    augment: Augment
    covariates: Mapping[str, Scaling]  # column -> its scaling
    modalities: int

    @property
    def width(self) -> int:
        """Columns of the batch's `covariates`; 0: there are none."""
        return len(self.covariates) + (self.modalities if self.modalities > 1 else 0)


def scaled(column: str, centre: float = 0.0, scale: float = 1.0) -> tuple[str, Scaling]:
    """(x - centre) / scale of a column; 0, the value at the centre, where unknown.

    Args:
      column: name of a column of the scans.
      centre: in the column's unit.
      scale: in the column's unit, > 0.

    Returns:
      (column, scaling).

    >>> scaled("age", centre=50.0, scale=10.0)[1](np.array([60.0, np.nan]))
    array([1., 0.], dtype=float32)
    """
    if not scale > 0:
        raise ValueError(f"Expected scale={scale} > 0.")

    def scaling(x: np.ndarray) -> np.ndarray:
        return np.nan_to_num((np.asarray(x, np.float32) - np.float32(centre)) / np.float32(scale))

    return column, scaling


SCALINGS = {"scaled": scaled}


def design(scans: Scans, covariates: Mapping[str, Scaling]) -> Float[np.ndarray, "n k"]:
    """The scaled columns of all scans.

    Raises:
      ValueError: when the scans do not have a column.
    """
    missing = [name for name in covariates if name not in scans.columns]
    if missing:
        raise ValueError(
            f"config.covariates: expected a column {missing[0]!r} at every site, got "
            f"{sorted(scans.columns)} at one. Name it there: columns={{'{missing[0]}': 'COLUMN'}}."
        )
    columns = [scaling(scans.columns[name]) for name, scaling in covariates.items()]
    return np.stack(columns, 1) if columns else np.zeros((len(scans), 0), np.float32)
