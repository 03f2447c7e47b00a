"""Least squares on the people of all sites, from sums of products that a site may tell.

    z = [1, x, m]        x: regressors, 0 where unknown; m: 1 where unknown
    a site tells         z' [z y]
    mean of a regressor  sum x / (n - sum m), over all sites
    design               [1, x + m mean]: an unknown value counts as the mean

The sum of what sites tell is that of all people together, so the solution is that of the regression
on all of them.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float


class Fit(NamedTuple):
    """A regression."""

    weights: Float[np.ndarray, " k+1"]  # intercept and slopes
    means: Float[np.ndarray, " k"]  # what an unknown value counts as


def products(
    x: Float[np.ndarray, "n k"], y: Float[np.ndarray, " n"]
) -> Float[np.ndarray, "2*k+1 2*k+2"]:
    """What a site tells: [1 x m]' [1 x m y], float64.

    Args:
      x: regressors of a site's training scans, NaN where unknown.
      y: their targets.
    """
    known = np.isfinite(x)
    z = np.concatenate([np.ones((len(y), 1)), np.where(known, x, 0), ~known], 1, dtype=np.float64)
    return z.T @ np.concatenate([z, y[:, None]], 1)


def solve(told: Float[np.ndarray, "m columns"]) -> Fit:
    """The regression; the shortest of several where columns say the same.

    Args:
      told: the sum of `products` of all sites, [2k+1 2k+2].
    """
    count = (len(told) - 1) // 2
    unknown = told[0, 1 + count : -1]
    means = told[0, 1 : 1 + count] / np.maximum(told[0, 0] - unknown, 1)
    # the design is z @ filled
    filled = np.concatenate([np.eye(1 + count), np.zeros((count, 1 + count))])
    filled[1 + count :, 1:] = np.diag(means)
    gram, right = filled.T @ told[:, :-1] @ filled, filled.T @ told[:, -1]
    return Fit(np.linalg.lstsq(gram, right, rcond=None)[0], means)


def predict(fit: Fit, x: Float[np.ndarray, "n k"]) -> Float[np.ndarray, " n"]:
    """What the regression says of people.

    Args:
      fit: the regression.
      x: regressors, NaN where unknown.
    """
    return fit.weights[0] + np.where(np.isfinite(x), x, fit.means) @ fit.weights[1:]
