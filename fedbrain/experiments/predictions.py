"""What trained models say about scans that they were not trained on: on their own sites', and on
everybody's.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from fedbrain.analysis.results import Judged
from fedbrain.analysis.statistics import Predictions, concatenate
from fedbrain.data.dataset import Scans
from fedbrain.data.regimes import Federation
from fedbrain.data.splits import Split
from fedbrain.experiments.checkpoints import tree_digest
from fedbrain.experiments.config import Experiment
from fedbrain.experiments.federation import Trained
from fedbrain.experiments.predict_scans import predict_scans
from fedbrain.training.evaluate import Evaluate


class Verdict(NamedTuple):
    """What a regime, or one model, says on one split."""

    name: str  # of the regime, the model or the baseline
    split: str  # repeat0-split0
    weight: float  # among the inner splits of a repeat
    judged: Mapping[str, Mapping[str, Predictions]]  # site -> part -> predictions


# site -> part -> (member whose model is asked, scans)
Questions = Mapping[str, Mapping[str, tuple[str, Scans]]]


def to_predictions(site: str, scans: Scans, values: np.ndarray, floor: float) -> Predictions:
    """Two sites may both have a `sub-01`, so people are told apart by site."""
    people = [f"{site}/{subject}" for subject in scans.subjects]
    return Predictions(
        people, scans.target, np.asarray(values, np.float32), np.full(len(scans), floor, np.float32)
    )


def ask(
    questions: Questions,
    federation: Federation,
    trained: Trained,
    evaluate: Evaluate,
    experiment: Experiment,
) -> dict[str, dict[str, Predictions]]:
    """Members' predictions, each beside the median of the member's training targets."""
    medians = {name: float(np.median(m.train.target)) for name, m in federation.members.items()}
    return {
        site: {
            part: to_predictions(
                site,
                scans,
                predict_scans(evaluate, trained.variables[member], scans, experiment),
                medians[member],
            )
            for part, (member, scans) in parts.items()
        }
        for site, parts in questions.items()
    }


def own_questions(federation: Federation, splits: Mapping[str, Split]) -> Questions:
    """Validation and test scans of every site, asked of the member whose model it would use."""
    return {
        s: {"valid": (m, splits[s].valid), "test": (m, splits[s].test)}
        for s, m in federation.judged.items()
    }


def crossed_questions(
    federation: Federation, trained: Trained, splits: Mapping[str, Split]
) -> dict[str, Questions]:
    """Model -> test scans of all sites, asked of every member; nothing where everybody has the same
    model.
    """
    alone = len(federation.judged) < len(splits)
    if not alone and len({tree_digest(v) for v in trained.variables.values()}) == 1:
        return {}
    names = {
        m: federation.name if len(trained.variables) == 1 else f"{federation.name}-{m}"
        for m in trained.variables
    }
    return {
        names[m]: {site: {"test": (m, split.test)} for site, split in splits.items()} for m in names
    }


def combine_splits(verdicts: list[Verdict]) -> Judged:
    """One set of predictions per name and site: the mean over inner splits, weighted by 1 /
    validation loss.

    Validation scans differ between inner splits, so theirs are put together instead, each from the
    model that did not train on it.
    """
    grouped: dict[str, dict[str, list[Verdict]]] = {}
    for verdict in verdicts:
        for site in verdict.judged:
            grouped.setdefault(verdict.name, {}).setdefault(site, []).append(verdict)
    return {
        name: {site: _combine(site, members) for site, members in sites.items()}
        for name, sites in grouped.items()
    }


def _combine(site: str, verdicts: list[Verdict]) -> dict[str, Predictions]:
    tests, valids = (
        [v.judged[site][part] for v in verdicts if part in v.judged[site]]
        for part in ("test", "valid")
    )
    mean = np.average(
        [t.prediction for t in tests], axis=0, weights=[v.weight for v in verdicts]
    ).astype(np.float32)
    test = tests[0]._replace(
        prediction=mean, floor=np.mean([t.floor for t in tests], axis=0, dtype=np.float32)
    )
    return {"test": test} | ({"valid": concatenate(valids)} if valids else {})
