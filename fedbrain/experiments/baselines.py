"""Baselines that a network must beat: linear regression on what is known about people without their
images, or on a predicted brain age.

Sites tell sums of products; their sum gives the regression on all scans together.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from fedbrain.analysis import least_squares
from fedbrain.analysis.least_squares import Fit, products, solve
from fedbrain.analysis.predictions import Predictions
from fedbrain.data.dataset import Scans
from fedbrain.data.splits import Split
from fedbrain.experiments.harmonised_images import require_raw
from fedbrain.experiments.predict_scans import predict_scans
from fedbrain.experiments.predictions import floor_of, to_predictions
from fedbrain.experiments.saved_models import load_models, read_identity
from fedbrain.experiments.split_id import SplitId
from fedbrain.training.evaluate import make_evaluate

Say = Callable[[Scans], np.ndarray]  # scans -> what a model predicts for them [n]


class Baseline(NamedTuple):
    """A regression, as `config.baselines` names it."""

    title: str
    # (site -> scans, which split) -> nothing, or ValueError: what it needs is there
    require: Callable[[Mapping[str, Scans], SplitId], None]
    # (splits, which split) -> site -> part -> predictions
    predict: Callable[[Mapping[str, Split], SplitId], dict[str, dict[str, Predictions]]]


def _require_columns(site: str, scans: Scans, names: tuple[str, ...]) -> None:
    absent = [name for name in names if name not in scans.columns]
    if absent:
        have = ", ".join(sorted(scans.columns)) or "none"
        raise ValueError(
            f"config.baselines: expected a column {absent[0]!r} at every site, got {have} at"
            f" {site}. Name it there: --site {site}=...,columns.{absent[0]}=COLUMN, or"
            f" columns={{{absent[0]!r}: 'COLUMN'}} in config.sites.{site}."
        )


def design(
    scans: Scans, columns: Sequence[str], say: Say | None = None
) -> Float[np.ndarray, "n k"]:
    """Regressors of scans, NaN where unknown.

    Args:
      scans: of a site that has the columns.
      columns: names.
      say: a model whose prediction is the last regressor; None: there is none.
    """
    x = [scans.columns[name].astype(np.float64) for name in columns]
    x += [say(scans)] if say else []
    return np.stack(x, 1) if x else np.zeros((len(scans), 0))


def judge(
    site: str, split: Split, fit: Fit, columns: Sequence[str], say: Say | None = None
) -> dict[str, Predictions]:
    """What a regression says of a site's validation and test scans.

    Args:
      site: its name.
      split: of its scans; the median of its training targets is the floor.
      fit: the regression.
      columns: see `design`.
      say: likewise.
    """
    floor = floor_of(split.train, ())

    def of_part(scans: Scans) -> Predictions:
        values = least_squares.predict(fit, design(scans, columns, say))
        return to_predictions(site, scans, values, floor)

    return {"valid": of_part(split.valid), "test": of_part(split.test)}


def title_of(columns: Sequence[str], *, with_model: bool) -> str:
    """What tables call a regression.

    Args:
      columns: names.
      with_model: whether a model's prediction is a regressor too.
    """
    regressors = [*columns, *(["predicted by the first model"] if with_model else [])]
    return f"linear: {', '.join(regressors)}"


def predictor(workdir: str | Path, split: str) -> Say:
    """What the federated model of an experiment predicts.

    Args:
      workdir: of the experiment.
      split: name of the split whose model it is.

    Raises:
      ValueError: when there is none.
    """
    folder = Path(workdir).expanduser()
    experiment, _ = read_identity(folder)
    require_raw(folder, experiment)
    [(_, variables)] = load_models(folder, split=split)
    evaluate = make_evaluate(experiment.task)
    return lambda scans: predict_scans(evaluate, variables, scans, experiment)


def linear(*columns: str, model: str = "", split: str = "") -> Baseline:
    """Least squares on columns of the sites' tables and, perhaps, on what another experiment's
    model says of the scan.

    Args:
      columns: age, sex, ...; an unknown value counts as the mean of the training scans.
      model: work directory of an experiment whose federated model adds its prediction (brain age)
        as a regressor.
      split: which of that experiment's models; by default the one of the same repeat and inner
        split.
    """
    if not columns and not model:
        raise ValueError("Expected columns, a model or both.")

    def require(clients: Mapping[str, Scans], split_id: SplitId) -> None:
        for site, scans in clients.items():
            _require_columns(site, scans, columns)
        if model:
            predictor(model, split or split_id.name)

    def predict(
        splits: Mapping[str, Split], split_id: SplitId
    ) -> dict[str, dict[str, Predictions]]:
        say = predictor(model, split or split_id.name) if model else None
        told = [products(design(s.train, columns, say), s.train.target) for s in splits.values()]
        fit = solve(np.add.reduce(told))
        return {site: judge(site, s, fit, columns, say) for site, s in splits.items()}

    return Baseline(title_of(columns, with_model=bool(model)), require, predict)


BASELINES = {"linear": linear}
