"""Baselines that a network must beat: linear regression on what is known about people without their
images, or on a predicted brain age.

A site sends sums of products; the server solves the normal equations, which gives the regression on
all scans together.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from fedbrain.analysis.predictions import Predictions
from fedbrain.data.dataset import Scans
from fedbrain.data.splits import Split
from fedbrain.experiments.predict_scans import predict_scans
from fedbrain.experiments.predictions import to_predictions
from fedbrain.experiments.saved_models import load_models, read_identity
from fedbrain.experiments.split_id import SplitId
from fedbrain.training.evaluate import make_evaluate


class Baseline(NamedTuple):
    """A regression, as `config.baselines` names it."""

    title: str
    # (site -> scans, which split) -> nothing, or ValueError: what it needs is there
    require: Callable[[Mapping[str, Scans], SplitId], None]
    # (splits, which split) -> site -> part -> predictions
    predict: Callable[[Mapping[str, Split], SplitId], dict[str, dict[str, Predictions]]]


def products(
    x: Float[np.ndarray, "n k"], y: Float[np.ndarray, " n"]
) -> Float[np.ndarray, "k+1 k+2"]:
    """What a site sends: [1 x]' [1 x y], float64.

    Args:
      x: regressors of a site's training scans.
      y: their targets.
    """
    one = np.concatenate([np.ones((len(y), 1)), x], 1, dtype=np.float64)
    return one.T @ np.concatenate([one, y[:, None]], 1)


def solve(sent: Float[np.ndarray, "m columns"]) -> Float[np.ndarray, " m"]:
    """Intercept and slopes of least squares; the shortest of them where columns say the same.

    Args:
      sent: the sum of what all sites sent, [m m+1].
    """
    return np.linalg.lstsq(sent[:, :-1], sent[:, -1], rcond=None)[0]


def _require_columns(site: str, scans: Scans, names: tuple[str, ...]) -> None:
    absent = [name for name in names if name not in scans.columns]
    if absent:
        have = ", ".join(sorted(scans.columns)) or "none"
        raise ValueError(
            f"config.baselines: expected a column {absent[0]!r} at every site, got {have} at"
            f" {site}. Name it there: --site {site}=...,columns.{absent[0]}=COLUMN, or"
            f" columns={{{absent[0]!r}: 'COLUMN'}} in config.sites.{site}."
        )


def _columns(scans: Scans, names: tuple[str, ...]) -> np.ndarray:
    columns = [scans.columns[name].astype(np.float64) for name in names]
    return np.stack(columns, 1) if columns else np.zeros((len(scans), 0))


def _predictor(workdir: str, split: str) -> Callable[[Scans], np.ndarray]:
    folder = Path(workdir).expanduser()
    experiment, _ = read_identity(folder)
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
            _predictor(model, split or split_id.name)

    def predict(
        splits: Mapping[str, Split], split_id: SplitId
    ) -> dict[str, dict[str, Predictions]]:
        say = _predictor(model, split or split_id.name) if model else None

        def design(scans: Scans) -> np.ndarray:
            x = _columns(scans, columns)
            return np.concatenate([x, say(scans)[:, None]], 1) if say else x

        train = {site: design(s.train) for site, s in splits.items()}
        known = sum(np.isfinite(x).sum(0) for x in train.values())
        mean = sum(np.nansum(x, 0) for x in train.values()) / np.maximum(known, 1)
        fill = lambda x: np.where(np.isfinite(x), x, mean)  # noqa: E731
        sums = [products(fill(x), splits[site].train.target) for site, x in train.items()]
        weights = solve(np.add.reduce(sums))
        median = np.asarray(np.median(np.concatenate([s.train.target for s in splits.values()])))

        def judge(site: str, scans: Scans) -> Predictions:
            return to_predictions(
                site, scans, weights[0] + fill(design(scans)) @ weights[1:], median
            )

        return {
            site: {"valid": judge(site, s.valid), "test": judge(site, s.test)}
            for site, s in splits.items()
        }

    regressors = [*columns, *(["predicted by the first model"] if model else [])]
    return Baseline(f"linear: {', '.join(regressors)}", require, predict)


BASELINES = {"linear": linear}
