"""Baselines that a network must beat: linear regression on what is known about people without their
images, or on a predicted brain age.

A site sends sums of products; the server solves the normal equations, which gives the regression on
all scans together.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float

from fedbrain.analysis.statistics import Predictions
from fedbrain.data.dataset import Scans
from fedbrain.data.splits import Split
from fedbrain.experiments.predict_scans import predict_scans
from fedbrain.experiments.predictions import to_predictions
from fedbrain.experiments.saved_models import load_models, read_identity
from fedbrain.experiments.split_id import SplitId
from fedbrain.training.evaluate import make_evaluate

# (splits, which split) -> site -> part -> predictions
Baseline = Callable[[Mapping[str, Split], SplitId], dict[str, dict[str, Predictions]]]


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


def _columns(scans: Scans, names: tuple[str, ...]) -> np.ndarray:
    absent = [name for name in names if name not in scans.columns]
    if absent:
        raise ValueError(
            f"config.baselines: expected a column {absent[0]!r} at every site, got"
            f" {sorted(scans.columns)} at one. Name it there: columns={{'"
            + absent[0]
            + "': 'COLUMN'}."
        )
    return (
        np.stack([scans.columns[n].astype(np.float64) for n in names], 1)
        if names
        else np.zeros((len(scans), 0))
    )


def _predictor(workdir: str, split: str) -> Callable[[Scans], np.ndarray]:
    folder = Path(workdir).expanduser()
    experiment, _ = read_identity(folder)
    [(_, variables)] = load_models(folder, split=split)
    evaluate = make_evaluate(experiment.task)
    return lambda scans: predict_scans(evaluate, variables, scans, experiment)


def linear(*columns: str, model: str = "", split: str = "") -> tuple[str, Baseline]:
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
        median = float(np.median(np.concatenate([s.train.target for s in splits.values()])))

        def judge(site: str, scans: Scans) -> Predictions:
            return to_predictions(
                site, scans, weights[0] + fill(design(scans)) @ weights[1:], median
            )

        return {
            site: {"valid": judge(site, s.valid), "test": judge(site, s.test)}
            for site, s in splits.items()
        }

    regressors = [*columns, *(["predicted by the first model"] if model else [])]
    return f"linear: {', '.join(regressors)}", predict


BASELINES = {"linear": linear}
