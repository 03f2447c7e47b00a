"""A client's part of a round, in simulation and in a hospital: its batches and validation loss."""

import jax
import numpy as np
from jaxtyping import Array

from fedbrain.data.dataset import Scans
from fedbrain.data.pipeline import eval_batches, pipeline_seed, train_batches, train_references
from fedbrain.experiments import interrupt
from fedbrain.experiments.config import Experiment
from fedbrain.processes import peers
from fedbrain.training.evaluate import Evaluate
from fedbrain.training.round import Client
from fedbrain.types import ClientState, Variables


def make_client(
    name: str,
    scans: Scans,
    state: ClientState,
    experiment: Experiment,
    *,
    round: int,
    seed: int,
    volumes: Array | None = None,
) -> Client:
    """A client with its batches and key, functions of (seed, round, name) alone.

    It has no batches here when another process holds its scans.

    Args:
      name: of the client.
      scans: that it trains on.
      state: private, from the round before.
      experiment: says how scans are presented.
      round: the number of the round, from 1.
      seed: of the run.
      volumes: training volumes on the device [scans d h w c]; batches then refer to them.
    """
    options = {
        "batch_size": experiment.batch_size,
        "epochs": experiment.epochs,
        "inputs": experiment.inputs,
        "seed": pipeline_seed(seed, round, name),
    }
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), round), pipeline_seed(name))
    if scans.holder != peers.index():
        return Client(name, len(scans), state, key, (), None, scans.holder)
    batches = (
        train_batches(scans, **options)
        if volumes is None
        else train_references(scans, volumes.shape[1:], **options)
    )
    return Client(name, len(scans), state, key, interrupt.watched(batches), volumes, scans.holder)


def validation_loss(
    evaluate: Evaluate, variables: Variables, scans: Scans, experiment: Experiment
) -> tuple[float, int]:
    """Evaluates a model on validation scans.

    Args:
      evaluate: of the experiment's task.
      variables: of the model.
      scans: for validation.
      experiment: says how scans are presented.

    Returns:
      (sum of losses, number of scans).
    """
    _, losses = evaluate(
        variables, eval_batches(scans, batch_size=experiment.batch_size, inputs=experiment.inputs)
    )
    return float(losses.astype(np.float64).sum()), losses.size
