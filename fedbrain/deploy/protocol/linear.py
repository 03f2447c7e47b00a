"""Linear regressions of a job, beside its network: sites tell sums of products, and the regression
on all of them comes back to be tested.

    linear('age', 'sex')                 columns that sites open
    linear('age', run='SHA256')          and what the best model of an earlier run says of a scan,
                                         which every site has
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from fedbrain.analysis.least_squares import Fit
from fedbrain.deploy.protocol.wire import Refused
from fedbrain.experiments.baselines import title_of
from fedbrain.experiments.spec import choose

MOST = 8  # regressors; arbitrary
PREDICTED = "predicted"  # the regressor that a model gives


class Regressors(NamedTuple):
    """What a regression knows of a scan."""

    columns: tuple[str, ...]  # names, as the job has them
    run: str  # hash of the configuration of the run whose model predicts; "": no model does

    @property
    def title(self) -> str:
        """What tables call the regression."""
        return title_of(self.columns, with_model=bool(self.run))

    @property
    def names(self) -> list[str]:
        """Of all regressors."""
        return [*self.columns, *([PREDICTED] if self.run else [])]


def linear(*columns: str, run: str = "") -> Regressors:
    """Least squares on columns and, perhaps, on what the model of an earlier run says.

    Args:
      columns: age, sex, ...; an unknown value counts as the mean of all training scans.
      run: hash of the configuration of a run between hospitals.

    Raises:
      ValueError: for no regressor or too many, one twice, or a hash that is none.

    >>> linear("age", "sex").title
    'linear: age, sex'
    """
    if not all(isinstance(name, str) for name in columns):
        raise ValueError("Expected names of columns.")
    made = Regressors(columns, run)
    if not 0 < len(made.names) <= MOST or len(set(made.names)) < len(made.names):
        raise ValueError(f"Expected 1 to {MOST} regressors, each once, got {made.names}.")
    if not re.fullmatch(r"[0-9a-f]{64}|", run):
        raise ValueError(f"run: expected a SHA-256, 64 digits, got {run[:80]!r}.")
    return made


LINEAR = {"linear": linear}


def read_linear(calls: Any) -> list[Regressors]:
    """The regressions of a job.

    Args:
      calls: `config.baselines`.

    Raises:
      Refused: for one that a job cannot name, such as a folder of the server; for one twice.
    """
    if not isinstance(calls, list | tuple):
        raise Refused(f"config.baselines: expected a sequence of calls, got {str(calls)[:80]!r}")
    try:
        made = [choose("baselines", str(call), LINEAR) for call in calls]
    except ValueError as error:
        raise Refused(
            f"{error} A job names a model by its run's hash; `fedbrain server run` and"
            " `hospital-grid` take model='WORKDIR'"
        ) from None
    if len({regressors.title for regressors in made}) < len(made):
        raise Refused("config.baselines: expected each regression once, got one twice")
    return made


def _terms(regressors: Regressors) -> list[str]:
    """[1, regressors, which of them are unknown]."""
    return ["1", *regressors.names, *(f"unknown {name}" for name in regressors.names)]


def product_names(regressors: Regressors) -> list[str]:
    """The names of the sums that a site tells, row by row: "age*target".

    Args:
      regressors: of the regression.

    >>> product_names(linear("age"))[:4]
    ['1*1', '1*age', '1*unknown age', '1*target']
    """
    rows = _terms(regressors)
    return [f"{a}*{b}" for a in rows for b in (*rows, "target")]


def read_products(
    regressors: Regressors, told: Mapping[str, float]
) -> Float[np.ndarray, "m columns"]:
    """The sums as `least_squares.solve` takes them.

    Args:
      regressors: of the regression.
      told: name -> sum.
    """
    rows = len(_terms(regressors))
    return np.asarray([told[name] for name in product_names(regressors)]).reshape(rows, rows + 1)


def fit_scalars(regressors: Regressors, fit: Fit) -> dict[str, float]:
    """A regression as numbers with names.

    Args:
      regressors: of the regression.
      fit: what comes of it.
    """
    weights = dict(zip([f"weight {name}" for name in ("1", *regressors.names)], fit.weights))
    means = dict(zip([f"mean {name}" for name in regressors.names], fit.means))
    return {name: float(value) for name, value in {**weights, **means}.items()}


def fit_names(regressors: Regressors) -> tuple[str, ...]:
    """The names in `fit_scalars`.

    Args:
      regressors: of the regression.
    """
    count = len(regressors.names)
    return tuple(fit_scalars(regressors, Fit(np.zeros(count + 1), np.zeros(count))))


def read_fit(regressors: Regressors, told: Mapping[str, Any]) -> Fit:
    """The inverse of `fit_scalars`.

    Args:
      regressors: of the regression.
      told: name -> number.
    """
    count = len(regressors.names) + 1
    numbers = np.asarray([told[name] for name in fit_names(regressors)], np.float64)
    return Fit(numbers[:count], numbers[count:])
