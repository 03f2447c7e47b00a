"""Tests models on a site's own people: the best model of the consortium, and the one that the site
trains alone. Models and predictions stay; one row of a table is sent.
"""

from pathlib import Path
from typing import Any

from fedbrain.analysis.predictions import Predictions
from fedbrain.analysis.statistics import accuracy
from fedbrain.data.dataset import Scans
from fedbrain.data.splits import Split
from fedbrain.deploy.protocol.job import Agreement
from fedbrain.deploy.protocol.runnable import ALONE, TOGETHER
from fedbrain.deploy.protocol.terms import variables_of
from fedbrain.deploy.protocol.wire import Refused
from fedbrain.deploy.site_side.going_home import keep_model, write_home
from fedbrain.experiments.compiled import Compiled
from fedbrain.experiments.federation import Trained
from fedbrain.experiments.predict_scans import predict_scans
from fedbrain.experiments.predictions import Evaluation, floor_of, to_predictions
from fedbrain.experiments.repeats import Run, run_folder, run_regime
from fedbrain.models.files.weights import save
from fedbrain.training.device_volumes import streamed
from fedbrain.training.evaluate import Evaluate
from fedbrain.training.maps import loop
from fedbrain.training.round import make_round
from fedbrain.training.selection import start
from fedbrain.types import ClientState, ServerState, Variables

PARTS = ("valid", "test")  # that a model predicts


class Tester:
    """Of one site in one run.

    Args:
      name: of the site.
      agreement: of the job.
      split: the site's scans.
      evaluate: of the experiment's task.
      workdir: of this site and run.
      fewest: test subjects below which no row is sent.
      synthetic: whether images of no real person are among the scans.
    """

    def __init__(
        self,
        name: str,
        agreement: Agreement,
        split: Split,
        evaluate: Evaluate,
        *,
        workdir: Path,
        fewest: int,
        synthetic: bool,
    ):
        self.name, self.agreement, self.split = name, agreement, split
        self.evaluate, self.workdir = evaluate, workdir
        self.fewest, self.synthetic = fewest, synthetic
        algorithm, trusted = agreement.experiment.algorithm, agreement.experiment.trusted
        turns = agreement.experiment.inputs.augment.turns
        self.run_round = make_round(
            algorithm, loop(), trusted, turns=turns
        )  # of a federation of one

    def together(self, best: ServerState, own: ClientState, first: ServerState) -> dict[str, Any]:
        """Tests the consortium's best model, and writes everything that the site keeps.

        Args:
          best: the server's state after the best round.
          own: the site's private state after it.
          first: the model before the first round.

        Returns:
          See `accuracy`.

        Raises:
          Refused: with too few test subjects.
        """
        experiment, split_id = self.agreement.experiment, self.agreement.split_id
        variables = experiment.algorithm.client_variables(best, own)
        save(variables, str(self.workdir / "model.safetensors"), torch=False)
        keep_model(self.workdir, self.name, self.agreement, best, own)
        parts = {part: self._predict(variables, getattr(self.split, part)) for part in PARTS}
        folder = run_folder(self.workdir, TOGETHER, split_id)
        trained = Trained({self.name: variables}, start(), 0, {})
        of_site = Evaluation(TOGETHER, split_id, 1.0, {self.name: parts})
        runs = [Run(folder, TOGETHER, trained, of_site, [])]
        if run_folder(self.workdir, f"{ALONE}-{self.name}", split_id).is_dir():
            runs.append(self._train_alone(first))
        ids = {part: getattr(self.split, part).ids for part in PARTS}
        how = {"site": self.name, "split_id": split_id, "synthetic": self.synthetic}
        write_home(self.workdir, experiment, runs, ids, **how)
        return self._row(parts["test"])

    def alone(self, first: ServerState) -> dict[str, Any]:
        """Trains a model on the site's own people alone, and tests it.

        Args:
          first: the model before the first round.

        Returns:
          See `accuracy`.

        Raises:
          Refused: when the job does not ask for it, or with too few test subjects.
        """
        if ALONE not in self.agreement.experiment.regimes:
            raise Refused(f"expected a job with the regime {ALONE!r} for this question, got none")
        return self._row(self._train_alone(first).own.predictions[self.name]["test"])

    def _train_alone(self, first: ServerState) -> Run:
        """A federation of one, as a simulation trains it; it goes on where it stopped."""
        experiment = self.agreement.experiment._replace(driver=loop(), residence=streamed())
        [run] = run_regime(
            ALONE,
            experiment,
            Compiled(self.run_round, self.evaluate),
            variables_of(first),
            {self.name: self.split},
            workdir=self.workdir,
            split_id=self.agreement.split_id,
        )
        return run

    def _predict(self, variables: Variables, scans: Scans) -> Predictions:
        experiment = self.agreement.experiment
        values = predict_scans(self.evaluate, variables, scans, experiment)
        # the median of the training labels would be told without noise
        of = self.split.train if experiment.privacy is None else scans
        return to_predictions(self.name, scans, values, floor_of(of, ()))

    def _row(self, test: Predictions) -> dict[str, Any]:
        people = len(set(test.subjects))
        if people < self.fewest:
            raise Refused(
                f"expected at least {self.fewest} test subjects to tell of them, got {people}"
            )
        return accuracy(test)
