"""A site's answers in a run: it validates, trains and tests as the server's messages ask.

The site keeps the model of the round as it came, and its private state (personal leaves, control
variates, error feedback) under the number of the round that it belongs to. Asked again for a round
that the server lost, it gives the same bits again.
"""

import contextlib
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp

from fedbrain.data.dataset import shape_of
from fedbrain.data.pipeline import example_batch
from fedbrain.data.splits import Split
from fedbrain.deploy.protocol.answers import (
    write_kept,
    write_report,
    write_update,
    write_validation,
)
from fedbrain.deploy.protocol.beside import count_beside
from fedbrain.deploy.protocol.codec import Data
from fedbrain.deploy.protocol.job import Agreement
from fedbrain.deploy.protocol.questions import read_model, require_no_vectors, require_terms
from fedbrain.deploy.protocol.terms import variables_of
from fedbrain.deploy.protocol.wire import Message, Refused, unpack
from fedbrain.deploy.site_side.attempts import Attempts
from fedbrain.deploy.site_side.floors import rounded
from fedbrain.deploy.site_side.models_kept import best_round_of, keep, read_kept
from fedbrain.deploy.site_side.private_people import PrivatePeople, open_people
from fedbrain.deploy.site_side.private_state import Memory
from fedbrain.deploy.site_side.questions import Questions
from fedbrain.deploy.site_side.start import require_scale, require_start
from fedbrain.deploy.site_side.tested import Tester
from fedbrain.experiments.client_work import key_of, make_client, validation_loss
from fedbrain.experiments.split_id import SplitId
from fedbrain.training.device_volumes import fetch
from fedbrain.training.evaluate import make_evaluate
from fedbrain.training.maps import loop
from fedbrain.types import ServerState


class Worker:
    """One site in one run."""

    def __init__(
        self,
        name: str,
        agreement: Agreement,
        split: Split,
        *,
        workdir: Path,
        limit: int,
        home: Path | None = None,
        splits: Mapping[SplitId, Split] | None = None,
        fewest_tested: int = 10,
        digits: int = 0,
        synthetic: bool = False,
        people: PrivatePeople | None = None,
        pooled_sums: bool = False,
    ):
        """Opens the site's folder; nothing is computed yet.

        Args:
          name: of the site.
          agreement: of the job, with the site's own data.
          split: the site's scans.
          workdir: of this site and run.
          limit: the most bytes of a message.
          home: work directory of the experiment, in a job with several splits; None: `workdir`.
          splits: the site's scans in all splits of the job; None: there is one.
          fewest_tested: fewest test subjects of which metrics are reported.
          digits: significant digits of a sum of validation losses; 0: all.
          synthetic: whether images of no real person are among the scans.
          people: with the site's ledger; None: with one of this run's own.
          pooled_sums: whether sums are told beside a row of test results.
        """
        self.name, self.agreement = name, agreement
        self.experiment = experiment = agreement.experiment
        self.terms = agreement.terms
        self.split = split
        self.workdir, self.limit, self.digits = workdir, limit, digits
        self.model, self.start = workdir / "model.bin", workdir / "start.bin"
        self.train = loop()(
            experiment.algorithm.local, partial(fetch, turns=experiment.inputs.augment.turns)
        )
        self.people = people or open_people(workdir, agreement, split)
        self.evaluate = make_evaluate(experiment.task)
        splits = {agreement.split_id: split} if splits is None else splits
        how = {"workdir": home or workdir, "fewest": fewest_tested, "synthetic": synthetic}
        how |= {"pooled_sums": pooled_sums and experiment.privacy is None}
        self.tester = Tester(name, agreement, splits, self.evaluate, **how)
        self.attempts = Attempts(workdir / "attempts.json")
        counts = {"rounds": experiment.rounds, "keep": experiment.keep + 1}
        self.questions = Questions(workdir, **counts, beside=count_beside(experiment))
        # kind of a question without a model -> what answers it
        self.kinds: dict[str, Callable[[Message], bytes]] = {
            "train": self._train,
            "alone": self._alone,
            "report": self._report,
        }
        # (kind of a question) -> nothing, or Refused before images can be used
        self.require_ready: Callable[[str], None] = lambda kind: None
        own = experiment.algorithm.init_client(agreement.fresh)
        self.memory = Memory(workdir, own, keep=experiment.keep)
        self.first: ServerState | None = None  # the model of round 0
        if self.start.is_file():
            with contextlib.suppress(Refused):  # damaged on the disk: the server sends it again
                message = unpack(self.start.read_bytes(), limit=limit)
                self._begin_from(read_model(self.terms, message))

    def receive(self, data: Data) -> bytes:
        """Answers a message of the server.

        Args:
          data: the bytes of the message.

        Returns:
          The bytes of the answer.

        Raises:
          Refused: saying why there is no answer.
        """
        message = unpack(data, limit=self.limit)
        kind = message.envelope.kind
        self.require_ready(kind)
        if kind == "model":
            return self._validate(message, data)
        if kind not in self.kinds:
            raise Refused(f"kind: expected one of model, {', '.join(self.kinds)}, got {kind!r}")
        return self.kinds[kind](message)

    @property
    def last_round(self) -> int:
        """Of the last model that the server sent; -1 before the first one."""
        return -1 if self.first is None else self.questions.last_round

    @property
    def rounds(self) -> Mapping[str, int]:
        """Of each split, where there are several: none here."""
        return {}

    def stopped(self) -> None:
        """The job was stopped in order: nobody died."""
        self.attempts.over()

    def close(self) -> None:
        """Waits until the private state is safe."""
        self.memory.close()

    def _begin_from(self, first: ServerState) -> None:
        """Takes what does not move, and private leaves, from the model of round 0."""
        self.first = first
        self.memory.first = self.experiment.algorithm.init_client(variables_of(first))

    def _validate(self, message: Message, data: Data) -> bytes:
        state = read_model(self.terms, message, self.first)
        if message.envelope.round == 0:
            require_start(self.agreement, state)
        best_round = best_round_of(message)
        self.questions.admit(message)
        if self.first is None:
            keep(self.start, data)
            self._begin_from(state)
        self.memory.put_aside(best_round)
        keep(self.model, data)
        own = self.memory.of(message.envelope.round)
        kept = self.questions.answer(message, limit=self.limit)
        if kept is not None:
            return kept
        self.people.tell("valid", message.envelope.round)
        variables = self.experiment.algorithm.client_variables(state, own)
        key = key_of(self.name, message.envelope.round, self._root())
        loss, count = validation_loss(
            self.evaluate, variables, self.split.valid, self.experiment, key
        )
        loss = rounded(loss, self.digits)
        sent = write_validation(self.terms, message.envelope, self.name, loss=loss, count=count)
        self.questions.keep_answer(message, sent)
        return sent

    def _report(self, message: Message) -> bytes:
        """The last question: tests the best model. Model and predictions stay at the site."""
        state = read_model(self.terms, message, self.first)
        self.questions.admit(message)
        self.memory.put_aside(message.envelope.round)
        own = self.memory.of_best(message.envelope.round)
        loss = message.envelope.scalars["best_loss"]
        metrics = self.tester.together(state, own, self.first or state, best_loss=loss)
        if metrics is None:
            return write_kept(self.terms, message.envelope, self.name, "reported")
        metrics |= self.people.reported()
        return write_report(self.terms, message.envelope, self.name, metrics)

    def _alone(self, message: Message) -> bytes:
        """Trains without the others, from the same first model. Nothing of it is sent but a row."""
        require_terms(self.terms, message.envelope, "alone")
        self.questions.admit(message)
        first = self._model(0) if self.first is None else self.first
        self.attempts.begin(self.experiment.rounds + 1)
        metrics = self.tester.alone(first)
        self.attempts.over()
        if metrics is None:
            return write_kept(self.terms, message.envelope, self.name, "alone")
        return write_report(self.terms, message.envelope, self.name, metrics, kind="alone")

    def _train(self, message: Message) -> bytes:
        order = require_no_vectors(message)
        require_terms(self.terms, order, "train", ("learning_rate_scale",))
        scale = order.scalars["learning_rate_scale"]
        require_scale(self.experiment, order.round, scale)
        broadcast = self._model(order.round)._replace(
            learning_rate_scale=jnp.asarray(scale, jnp.float32)
        )
        self.questions.admit(message)
        own = self.memory.of(order.round)
        kept = self.questions.answer(message, limit=self.limit)
        if kept is not None and self.memory.holds(order.round + 1):
            return kept
        self.people.tell("train", order.round)
        self.attempts.begin(order.round + 1)
        client = make_client(
            self.name,
            self.split.train,
            own,
            self.experiment,
            round=order.round + 1,
            seed=self.agreement.seed,
            root=self._root(),
        )
        scans = shape_of([self.split.train])
        example = example_batch(scans, self.experiment.batch_size, self.experiment.inputs)
        update, [state] = self.train(broadcast, [client], example)
        sent = write_update(self.terms, order, self.name, update)
        self.memory.save(order.round + 1, state)
        self.questions.keep_answer(message, sent)
        self.attempts.over()
        return sent

    def _root(self) -> jax.Array:
        """Under differential privacy a secret, since who knows the noise can take it away."""
        own = self.people.root
        return jax.random.key(self.agreement.seed) if own is None else own

    def _model(self, round: int) -> ServerState:
        return read_model(self.terms, read_kept(self.model, round, limit=self.limit), self.first)
