"""Linear regressions at a site: it tells sums of products over its training people, where its
`site.toml` opens them, and tests the regression that comes back.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from fedbrain.analysis.least_squares import Fit, products
from fedbrain.data.dataset import Scans
from fedbrain.data.splits import Split
from fedbrain.deploy.protocol.answers import write_kept, write_report
from fedbrain.deploy.protocol.beside import write_numbers
from fedbrain.deploy.protocol.linear import (
    Regressors,
    fit_names,
    fit_scalars,
    product_names,
    read_fit,
    read_linear,
)
from fedbrain.deploy.protocol.questions import require_no_vectors, require_terms
from fedbrain.deploy.protocol.wire import Message, Refused
from fedbrain.deploy.site_side.worker import Worker
from fedbrain.experiments.baselines import Say, design, judge, predictor
from fedbrain.experiments.predictions import Evaluation
from fedbrain.experiments.split_id import SplitId
from fedbrain.experiments.workdir import write_json


def folder_of_run(runs: Path, run: str) -> Path:
    """The folder of an earlier run at this site.

    Args:
      runs: folder of this site's runs.
      run: hash of the configuration.

    Raises:
      Refused: when this site did not see its end.
    """
    for folder in sorted(runs.glob(f"*-{run[:16]}")):
        if (folder / "results.json").is_file():
            return folder
    raise Refused(
        f"config.baselines: expected a run that this site saw to its end, got {run[:16]}..."
    )


def require_tellable(baselines: list[Regressors], train: Scans, *, fewest: int, runs: Path) -> None:
    """Raises Refused where a sum would be of few people: a column that is the same for all but a
    few, or unknown of a few; for a column or a run that the site does not have.

    Args:
      baselines: of the job.
      train: the scans over which sums go.
      fewest: people of whom a number may tell.
      runs: folder of this site's runs.
    """
    for regressors in baselines:
        if regressors.run:
            folder_of_run(runs, regressors.run)
        for name in regressors.columns:
            if name not in train.columns:
                raise Refused(
                    f"config.baselines: expected a column {name!r} at this site, got none"
                )
            few = min(minorities(train.columns[name], train.subjects), default=fewest)
            if few < fewest:
                raise Refused(
                    f"config.baselines: expected at least {fewest} people, or none, whose {name!r}"
                    " is unknown or is not the most frequent value, got fewer: sums would tell of"
                    " them"
                )


def minorities(values: np.ndarray, subjects: tuple[str, ...]) -> list[int]:
    """People whose value is unknown, and those whose value is not the most frequent one; without
    zeros.

    Args:
      values: of every scan.
      subjects: whose it is.
    """
    of = dict(zip(reversed(subjects), reversed(values.tolist())))
    known = [value for value in of.values() if np.isfinite(value)]
    most = np.unique(known, return_counts=True)[1].max() if known else 0
    return [count for count in (len(of) - len(known), len(known) - int(most)) if count]


class LinearFloors:
    """The regressions of one split of a job.

    Args:
      worker: of the split; its questions are counted there.
      splits: the site's scans in every split of the job.
      home: work directory of the experiment.
      runs: folder of this site's runs.
    """

    def __init__(self, worker: Worker, splits: Mapping[SplitId, Split], *, home: Path, runs: Path):
        self.worker, self.splits, self.home, self.runs = worker, splits, home / "linear", runs
        self.baselines = read_linear(worker.experiment.baselines)
        if self.baselines:
            worker.kinds |= {"sums": self._sums, "fit": self._fit}
            worker.tester.baselines = self.evaluations

    def _sums(self, message: Message) -> bytes:
        terms, worker = self.worker.terms, self.worker
        asked = require_no_vectors(message)
        require_terms(terms, asked, "sums")
        worker.questions.admit(message)
        regressors, train = self.baselines[asked.round], worker.split.train
        say = self._say(regressors, worker.agreement.split_id)
        told = products(design(train, regressors.columns, say), train.target)
        numbers = dict(zip(product_names(regressors), told.ravel().tolist(), strict=True))
        return write_numbers(terms, asked, worker.name, "summed", numbers)

    def _fit(self, message: Message) -> bytes:
        terms, worker = self.worker.terms, self.worker
        asked = require_no_vectors(message)
        if not 0 <= asked.round < len(self.baselines):
            raise Refused(f"round: expected the number of a regression, got {asked.round}")
        regressors = self.baselines[asked.round]
        require_terms(terms, asked, "fit", fit_names(regressors))
        fit = read_fit(regressors, asked.scalars)
        if not all(np.isfinite(part).all() for part in fit):
            raise Refused("fit: expected finite numbers of the server, got others")
        worker.questions.admit(message)
        split_id = worker.agreement.split_id
        self.home.mkdir(exist_ok=True)
        write_json(self._file(split_id, asked.round), fit_scalars(regressors, fit))
        if not worker.tester.is_last:
            return write_kept(terms, asked, worker.name, "fitted")
        own = [e for e in self.evaluations() if e.name == regressors.title]
        if len(own) < len(self.splits):
            raise Refused("expected the regressions of all splits, got fewer: this site missed one")
        return write_report(terms, asked, worker.name, worker.tester.row(own), kind="fitted")

    def evaluations(self) -> list[Evaluation]:
        """What the regressions that came say of the site's people, in every split."""
        return [
            Evaluation(r.title, split_id, 1.0, {self.worker.name: self._judge(r, split_id, fit)})
            for split_id in self.splits
            for number, r in enumerate(self.baselines)
            if (fit := self._kept(r, split_id, number)) is not None
        ]

    def _judge(self, regressors: Regressors, split_id: SplitId, fit: Fit):
        say = self._say(regressors, split_id)
        return judge(self.worker.name, self.splits[split_id], fit, regressors.columns, say)

    def _say(self, regressors: Regressors, split_id: SplitId) -> Say | None:
        run = regressors.run
        return predictor(folder_of_run(self.runs, run), split_id.name) if run else None

    def _file(self, split_id: SplitId, number: int) -> Path:
        return self.home / f"{split_id.name}-{number}.json"

    def _kept(self, regressors: Regressors, split_id: SplitId, number: int) -> Fit | None:
        path = self._file(split_id, number)
        if not path.is_file():
            return None
        return read_fit(regressors, json.loads(path.read_text(encoding="utf-8")))
