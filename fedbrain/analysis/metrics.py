"""Accuracy from sums that a hospital may send: MAE, RMSE, R2 and r, but nothing about a person.

    sums = sum_i [1, |e|, e^2, x, y, x^2, y^2, x y],   x = target, y = prediction, e = y - x

Sums of disjoint groups add up, so pooled metrics need nothing but the clients' sums.
"""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

Sums = dict[str, float]


def regression_sums(target: Float[np.ndarray, " n"], prediction: Float[np.ndarray, " n"]) -> Sums:
    """Additive statistics of one group, in target units; float64.

    >>> regression_sums(np.array([20.0, 30.0]), np.array([22.0, 29.0]))["abs"]
    3.0
    """
    x = np.asarray(target, np.float64)
    y = np.asarray(prediction, np.float64)
    e = y - x
    return {
        "n": float(x.size),
        "abs": float(np.abs(e).sum()),
        "sq": float((e**2).sum()),
        "x": float(x.sum()),
        "y": float(y.sum()),
        "xx": float((x**2).sum()),
        "yy": float((y**2).sum()),
        "xy": float((x * y).sum()),
    }


def add(*sums: Mapping[str, float]) -> Sums:
    """Sums of the union of disjoint groups.

    >>> add({"n": 2.0}, {"n": 3.0})
    {'n': 5.0}
    """
    return {name: float(sum(s[name] for s in sums)) for name in sums[0]}


def regression_metrics(sums: Mapping[str, float]) -> dict[str, float]:
    """MAE and RMSE in target units, R2 = 1 - SSE / SST, Pearson r; NaN where not defined.

    >>> target = np.array([1.0, 2.0, 3.0])
    >>> m = regression_metrics(regression_sums(target, target + 1))
    >>> m["mae"], m["r"] > 0.999999
    (1.0, True)
    """
    n = sums["n"]
    if n == 0:
        return {"n": 0.0, "mae": np.nan, "rmse": np.nan, "r2": np.nan, "r": np.nan}
    var_x = sums["xx"] - sums["x"] ** 2 / n
    var_y = sums["yy"] - sums["y"] ** 2 / n
    cov = sums["xy"] - sums["x"] * sums["y"] / n
    tiny = 1e-12 * max(sums["xx"], sums["yy"], 1e-12)
    defined = var_x > tiny and var_y > tiny
    return {
        "n": n,
        "mae": sums["abs"] / n,
        "rmse": float(np.sqrt(sums["sq"] / n)),
        "r2": 1 - sums["sq"] / var_x if var_x > tiny else np.nan,
        "r": float(np.clip(cov / np.sqrt(var_x * var_y), -1, 1)) if defined else np.nan,
    }
