"""A site's side of a run: messages in, messages out. What must survive the process is on the site's disk.

A site keeps the model of the round as it came, and its private state (personal leaves, control variates, error feedback)
under the number of the round that it belongs to. Asked again for a round that the server lost, it gives the same bits again.
"""

import os
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fedbrain.build import Experiment
from fedbrain.data.dataset import shape_of
from fedbrain.data.pipeline import example_batch
from fedbrain.data.regimes import Member
from fedbrain.deploy.exchange import Terms, answer, read_model, require_terms, validated
from fedbrain.deploy.wire import Message, Refused, unpack
from fedbrain.evaluate import make_evaluate
from fedbrain.io.checkpoint import Checkpoints
from fedbrain.member import make_client, validation_loss
from fedbrain.residence import fetch
from fedbrain.round import loop
from fedbrain.types import ClientState, ServerState, Variables


class Worker:
    """One site in one run."""

    def __init__(
        self,
        name: str,
        experiment: Experiment,
        terms: Terms,
        member: Member,
        fresh: Variables,
        *,
        workdir: Path,
        seed: int,
        limit: int,
    ):
        """Opens the site's folder; nothing is computed yet.

        Args:
          name: of the site.
          experiment: read from the job's configuration and the site's own data.
          terms: see `make_terms`.
          member: the site's scans.
          fresh: variables from the experiment's seed: the outline of its private state, and where that starts.
          workdir: of this site and run.
          seed: of shuffling, augmentation and dropout.
          limit: the most bytes of a message.
        """
        self.name, self.experiment, self.terms, self.member = name, experiment, terms, member
        self.seed, self.limit, self.model = seed, limit, workdir / "model.bin"
        self.first = experiment.algorithm.init_client(fresh)
        self.train = loop()(experiment.algorithm.local, partial(fetch, turns=experiment.inputs.augment.turns))
        self.evaluate = make_evaluate(experiment.task)
        self.checkpoints = Checkpoints(workdir / "state", keep=experiment.keep)

    def receive(self, data: bytes) -> bytes:
        """Answers a message of the server.

        Raises:
          Refused: saying why there is no answer.
        """
        message = unpack(data, limit=self.limit)
        kinds = {"model": self._validate, "train": self._train}
        if message.envelope.kind not in kinds:
            raise Refused(f"kind: expected one of {', '.join(kinds)}, got {message.envelope.kind!r}")
        return kinds[message.envelope.kind](message, data)

    def close(self) -> None:
        """Waits until the private state is safe."""
        self.checkpoints.close()

    def _validate(self, message: Message, data: bytes) -> bytes:
        state = read_model(self.terms, message)
        temporary = self.model.with_suffix(".tmp")
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.model)
        variables = self.experiment.algorithm.client_variables(state, self._own(message.envelope.round))
        loss, count = validation_loss(self.evaluate, variables, self.member.valid, self.experiment)
        return validated(self.terms, message.envelope, self.name, loss=loss, count=count)

    def _train(self, message: Message, data: bytes) -> bytes:
        del data
        order = message.envelope
        require_terms(self.terms, order, "train", ("learning_rate_scale",))
        scale = jnp.asarray(order.scalars["learning_rate_scale"], jnp.float32)
        broadcast = self._model(order.round)._replace(learning_rate_scale=scale)
        how = {"experiment": self.experiment, "round": order.round + 1, "seed": self.seed}
        client = make_client(self.name, self.member.train, self._own(order.round), **how)
        scans = shape_of([self.member.train])
        example = example_batch(scans, self.experiment.batch_size, self.experiment.inputs)
        update, [state] = self.train(broadcast, [client], example)
        sent = answer(self.terms, order, self.name, update)
        self.checkpoints.save(order.round + 1, self._kept(state))
        self.checkpoints.flush()
        return sent

    def _model(self, round: int) -> ServerState:
        if self.model.is_file():
            message = unpack(self.model.read_bytes(), limit=self.limit)
            if message.envelope.round == round:
                return read_model(self.terms, message)
        raise Refused(f"expected the model of round {round} before the order to train on it, got none")

    def _own(self, round: int) -> ClientState:
        """The private state after a round, or after the last one before it in which the site took part."""
        found = self.checkpoints.restore_latest(self._kept(self.first), at_most=round)
        return self.first if found is None else jax.tree.map(jnp.asarray, found[1]["own"])

    @staticmethod
    def _kept(state: ClientState) -> dict[str, Any]:
        return {"own": state, "mark": np.zeros(1)}  # a state may have no leaf, a checkpoint must have one
