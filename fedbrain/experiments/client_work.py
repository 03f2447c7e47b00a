"""A client's part of a round, in simulation and in a hospital: its batches and validation loss."""

import jax
import numpy as np
from jaxtyping import Array

from fedbrain.data.dataset import Scans
from fedbrain.data.pipeline import eval_batches, pipeline_seed, train_batches, train_references
from fedbrain.experiments import interrupt
from fedbrain.experiments.config import Experiment
from fedbrain.experiments.private import noisy_sum
from fedbrain.processes import peers
from fedbrain.training.evaluate import Evaluate
from fedbrain.training.round import Client
from fedbrain.types import ClientState, Key, Variables

VALIDATION = 0x76616C69  # folded into a key; no step of training has this number


def make_client(
    name: str,
    scans: Scans,
    state: ClientState,
    experiment: Experiment,
    *,
    round: int,
    seed: int,
    root: Key,
    volumes: Array | None = None,
    place: int | None = None,
) -> Client:
    """A client with its batches and key, functions of (seed, round, name) alone.

    It has no batches here when another process holds its scans.

    Args:
      name: of the client.
      scans: that it trains on.
      state: private, from the round before.
      experiment: says how scans are presented.
      round: the number of the round, from 1.
      seed: of the run: order and augmentation follow from it.
      root: key of the run: dropout and noise follow from it. Between hospitals it is a site's
        secret under differential privacy.
      volumes: training volumes on the device [scans d h w c]; batches then refer to them.
      place: of the client among all of the federation.
    """
    options = {
        "batch_size": experiment.batch_size,
        "epochs": experiment.epochs,
        "inputs": experiment.inputs,
        "seed": pipeline_seed(seed, round, name),
    }
    key = key_of(name, round, root)
    if scans.holder != peers.index():
        return Client(name, len(scans), state, key, (), None, scans.holder, place)
    batches = (
        train_batches(scans, **options)
        if volumes is None
        else train_references(scans, volumes.shape[1:], **options)
    )
    watched = interrupt.watched(batches)
    return Client(name, len(scans), state, key, watched, volumes, scans.holder, place)


def key_of(name: str, round: int, root: Key) -> Key:
    """A client's key in a round.

    Args:
      name: of the client.
      round: its number.
      root: key of the run.
    """
    return jax.random.fold_in(jax.random.fold_in(root, round), pipeline_seed(name))


def validation_loss(
    evaluate: Evaluate, variables: Variables, scans: Scans, experiment: Experiment, key: Key
) -> tuple[float, int]:
    """Evaluates a model on validation scans.

    Args:
      evaluate: of the experiment's task.
      variables: of the model.
      scans: for validation.
      experiment: says how scans are presented, and what noise is added.
      key: of client and round, see `key_of`.

    Returns:
      (sum of losses, number of scans).
    """
    _, losses = evaluate(
        variables, eval_batches(scans, batch_size=experiment.batch_size, inputs=experiment.inputs)
    )
    noise = jax.random.fold_in(key, VALIDATION)  # not the noise of the client's training
    return noisy_sum(np.asarray(losses), experiment.privacy, noise), losses.size
