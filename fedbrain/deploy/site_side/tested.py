"""Tests models on a site's own people: the best model of the consortium, and the one that the site
trains alone. Models and predictions stay; one row of a table is sent.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fedbrain.analysis.predictions import Predictions, concatenate
from fedbrain.analysis.site_sums import site_sums
from fedbrain.analysis.statistics import accuracy
from fedbrain.data.dataset import Scans
from fedbrain.data.small_counts import FEWEST
from fedbrain.data.splits import Split
from fedbrain.deploy.protocol.job import Agreement
from fedbrain.deploy.protocol.runnable import ALONE, TOGETHER
from fedbrain.deploy.protocol.terms import variables_of
from fedbrain.deploy.protocol.wire import Refused
from fedbrain.deploy.site_side.going_home import keep_model, write_home
from fedbrain.deploy.site_side.groups import Groupings
from fedbrain.experiments.compiled import Compiled
from fedbrain.experiments.federation import Trained
from fedbrain.experiments.predict_scans import predict_scans
from fedbrain.experiments.predictions import (
    Evaluation,
    combine_splits,
    floor_of,
    to_predictions,
)
from fedbrain.experiments.repeats import Repeat, Run, run_folder, run_regime
from fedbrain.experiments.saved_models import load_models
from fedbrain.experiments.split_id import SplitId
from fedbrain.models.files.weights import save
from fedbrain.training.device_volumes import streamed
from fedbrain.training.evaluate import Evaluate
from fedbrain.training.maps import loop
from fedbrain.training.round import make_round
from fedbrain.training.selection import start
from fedbrain.types import ClientState, ServerState, Variables

PARTS = ("valid", "test")  # that a model predicts


class Tester:
    """Of one site in one split of a run; what is told in the last split is of all of them.

    Args:
      name: of the site.
      agreement: of one split of the job.
      splits: the site's scans in every split of the job.
      evaluate: of the experiment's task.
      workdir: of this site and run.
      fewest: test subjects below which no row is sent.
      synthetic: whether images of no real person are among the scans.
      pooled_sums: whether sums over people are told beside a row.
    """

    def __init__(
        self,
        name: str,
        agreement: Agreement,
        splits: Mapping[SplitId, Split],
        evaluate: Evaluate,
        *,
        workdir: Path,
        fewest: int,
        synthetic: bool,
        pooled_sums: bool = False,
    ):
        self.name, self.agreement, self.splits = name, agreement, splits
        self.evaluate, self.workdir = evaluate, workdir
        self.fewest, self.synthetic = fewest, synthetic
        self.pooled_sums = pooled_sums
        algorithm, trusted = agreement.experiment.algorithm, agreement.experiment.trusted
        turns = agreement.experiment.inputs.augment.turns
        self.groups = Groupings({}, FEWEST)  # what rows are told by
        # linear regressions of all splits, where the job has some
        self.baselines: Callable[[], list[Evaluation]] = list
        self.run_round = make_round(
            algorithm, loop(), trusted, turns=turns
        )  # of a federation of one

    @property
    def is_last(self) -> bool:
        """Whether this split is the job's last one."""
        return self.agreement.split_id == list(self.splits)[-1]

    def together(
        self, best: ServerState, own: ClientState, first: ServerState, *, best_loss: float = 1.0
    ) -> dict[str, Any] | None:
        """Keeps the consortium's best model; in the last split tests those of all splits, and
        writes everything that the site keeps.

        Args:
          best: the server's state after the best round.
          own: the site's private state after it.
          first: the model before the first round.
          best_loss: the model's pooled validation loss, by which inner splits are weighed.

        Returns:
          See `accuracy`; None before the last split.

        Raises:
          Refused: with too few test subjects, or when this site missed the model of a split.
        """
        experiment, split_id = self.agreement.experiment, self.agreement.split_id
        variables = experiment.algorithm.client_variables(best, own)
        if len(self.splits) == 1:
            save(variables, str(self.workdir / "model.safetensors"), torch=False)
        keep_model(self.workdir, self.name, self.agreement, best, own, best_loss=best_loss)
        if not self.is_last:
            return None
        known = {split_id: (1 / max(best_loss, 1e-9), variables)}
        runs = [self._test(i, *(known.get(i) or self._kept(i))) for i in self.splits]
        alone = run_folder(self.workdir, f"{ALONE}-{self.name}", split_id).is_dir()
        runs += [self._train_alone(first, i) for i in self.splits] if alone else []
        repeats = self._by_repeat(runs)
        scans = sum(map(len, self.splits[split_id]))
        how = {"site": self.name, "scans": scans, "synthetic": self.synthetic}
        write_home(self.workdir, experiment, repeats, **how)
        return self._row_by_group([run.own for run in runs if run.regime == TOGETHER])

    def alone(self, first: ServerState) -> dict[str, Any] | None:
        """Trains a model on the site's own people alone; in the last split tests those of all
        splits.

        Args:
          first: the model before the first round.

        Returns:
          See `accuracy`; None before the last split.

        Raises:
          Refused: when the job does not ask for it, or with too few test subjects.
        """
        if ALONE not in self.agreement.experiment.regimes:
            raise Refused(f"expected a job with the regime {ALONE!r} for this question, got none")
        own = self._train_alone(first, self.agreement.split_id)
        if not self.is_last:
            return None
        earlier = list(self.splits)[:-1]
        runs = [*(self._train_alone(first, split_id) for split_id in earlier), own]
        return self._row_by_group([run.own for run in runs])

    def _test(self, split_id: SplitId, weight: float, variables: Variables) -> Run:
        """The predictions of the consortium's model of a split."""
        folder, split = run_folder(self.workdir, TOGETHER, split_id), self.splits[split_id]
        parts = {part: self.predict(variables, getattr(split, part), split) for part in PARTS}
        of_site = Evaluation(TOGETHER, split_id, weight, {self.name: parts})
        return Run(folder, TOGETHER, Trained({self.name: variables}, start(), 0, {}), of_site, [])

    def _kept(self, split_id: SplitId) -> tuple[float, Variables]:
        """(weight, variables) of the consortium's model of an earlier split."""
        try:
            how = {"federation": TOGETHER, "client": self.name, "split": split_id.name}
            [kept] = load_models(self.workdir, **how)
        except ValueError:
            raise Refused(
                f"expected the models of all splits, got none of {split_id.name}: this site was not"
                " there at its end"
            ) from None
        return kept

    def _train_alone(self, first: ServerState, split_id: SplitId) -> Run:
        """A federation of one, as a simulation trains it; it goes on where it stopped."""
        experiment = self.agreement.experiment._replace(driver=loop(), residence=streamed())
        [run] = run_regime(
            ALONE,
            experiment,
            Compiled(self.run_round, self.evaluate),
            variables_of(first),
            {self.name: self.splits[split_id]},
            workdir=self.workdir,
            split_id=split_id,
        )
        return run

    def predict(self, variables: Variables, scans: Scans, split: Split) -> Predictions:
        """What a model says of scans.

        Args:
          variables: of the model.
          scans: of the site.
          split: that they are of, which gives the floor.
        """
        experiment = self.agreement.experiment
        values = predict_scans(self.evaluate, variables, scans, experiment)
        # the median of the training labels would be told without noise
        of = split.train if experiment.privacy is None else scans
        return to_predictions(self.name, scans, values, floor_of(of, ()))

    def _by_repeat(self, runs: list[Run]) -> list[Repeat]:
        """Runs of all splits, those of a repeat together."""
        ids = {
            (self.name, split_id, part): getattr(split, part).ids
            for split_id, split in self.splits.items()
            for part in PARTS
        }
        baselines = self.baselines()
        return [
            Repeat(
                [run for run in runs if run.own.split_id.repeat == repeat],
                [e for e in baselines if e.split_id.repeat == repeat],
                ids,
            )
            for repeat in self.agreement.experiment.repeats
        ]

    def _row_by_group(self, evaluations: list[Evaluation]) -> dict[str, Any]:
        row = self.row(evaluations)
        tests = concatenate([parts["test"] for parts in self._parts_of_repeats(evaluations)])
        return row | {"groups": self.groups.numbers(self.name, tests)}

    def row(self, evaluations: list[Evaluation]) -> dict[str, Any]:
        """Accuracy over the test scans of all repeats, each of which has enough people.

        Args:
          evaluations: of one model or regression, in every split.

        Raises:
          Refused: with too few test subjects.
        """
        own = self._parts_of_repeats(evaluations)
        for parts in own:
            self.require_enough(parts["test"])
        told = {part: concatenate([parts[part] for parts in own]) for part in PARTS}
        sums = site_sums(told["test"], told["valid"]) if self.pooled_sums else {}
        return accuracy(told["test"]) | sums

    def require_enough(self, tests: Predictions) -> None:
        """Raises Refused when predictions are of too few test subjects to tell of them.

        Args:
          tests: of one repeat.
        """
        if (people := len(set(tests.subjects))) < self.fewest:
            raise Refused(
                f"expected at least {self.fewest} test subjects to tell of them, got {people}"
            )

    def _parts_of_repeats(self, evaluations: list[Evaluation]) -> list[Mapping[str, Predictions]]:
        """Part -> predictions, of each repeat."""
        repeats = self.agreement.experiment.repeats
        of_repeats = [[e for e in evaluations if e.split_id.repeat == k] for k in repeats]
        return [next(iter(combine_splits(es).values()))[self.name] for es in of_repeats]
