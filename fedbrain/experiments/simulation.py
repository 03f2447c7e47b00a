"""One simulated round of a federation: its cohort trains, the server aggregates, every client
validates the new model.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from fedbrain import progress
from fedbrain.data.pipeline import HostBatch
from fedbrain.data.regimes import Federation
from fedbrain.experiments import interrupt
from fedbrain.experiments.client_work import key_of, make_client, validation_loss
from fedbrain.experiments.compiled import Compiled
from fedbrain.experiments.config import Experiment
from fedbrain.experiments.round_end import Snapshot, ValidationSums, end_round, log_line
from fedbrain.processes import peers
from fedbrain.training.device_volumes import Residence, store
from fedbrain.training.round import Client
from fedbrain.types import ClientState, ServerState


class Setting(NamedTuple):
    """What stays the same from round to round."""

    federation: Federation  # who trains together
    names: list[str]  # of the clients, sorted
    experiment: Experiment  # what is trained, and how
    compiled: Compiled  # functions of the experiment
    seed: int  # of sampling, shuffling, augmentation and dropout
    example: HostBatch  # zeros of a batch's shapes
    volumes: dict[str, Array]  # of clients, on the device; empty when they stream from the host


def upload(federation: Federation, residence: Residence, title: str) -> dict[str, Array]:
    """Puts all training volumes on the device, one array a client.

    Arrays are padded to one length, so that clients can be trained side by side.

    Args:
      federation: whose volumes.
      residence: where volumes lie, and their type there.
      title: of the progress bar.

    Returns:
      Member -> volumes [scans d h w c], of this process; empty when volumes stream from the host.
    """
    if residence.dtype is None:
        return {}
    longest = max(len(m.train) for m in federation.clients.values())
    uploaded = {}
    for name, split in federation.clients.items():
        if split.train.holder != peers.index():
            continue
        volumes = [
            store(jnp.asarray(v)[None], residence.dtype)[0]
            for v in progress.each(split.train.volumes, title, leave=False)
        ]
        spare = jnp.zeros((longest - len(volumes), *volumes[0].shape), volumes[0].dtype)
        uploaded[name] = jnp.concatenate([jnp.stack(volumes), spare])
    return uploaded


def make_cohort(setting: Setting, snapshot: Snapshot, round: int) -> list[Client]:
    """The clients that are drawn for a round.

    Args:
      setting: of the federation.
      snapshot: with the clients' private states.
      round: its number, from 1.
    """
    states = dict(zip(setting.names, snapshot.clients))
    return [
        make_client(
            name,
            setting.federation.clients[name].train,
            states[name],
            setting.experiment,
            round=round,
            seed=setting.seed,
            root=jax.random.key(setting.seed),
            volumes=setting.volumes.get(name),
            place=setting.names.index(name),
        )
        for name in setting.experiment.sampling(setting.names, round, setting.seed)
    ]


def validate(setting: Setting, server: ServerState, clients: list[ClientState]) -> ValidationSums:
    """Validates the aggregated model, with each client's private leaves, on the client's scans.

    Args:
      setting: of the federation.
      server: after aggregation.
      clients: private states after the round.
    """
    sums = {}
    for name, state in zip(setting.names, clients):
        variables = setting.experiment.algorithm.client_variables(server, state)
        scans = setting.federation.clients[name].valid
        if scans.holder != peers.index():
            continue
        key = key_of(name, int(server.round), jax.random.key(setting.seed))
        sums[name] = validation_loss(
            setting.compiled.evaluate, variables, scans, setting.experiment, key
        )
    together = {n: s for own in peers.exchange(sums) for n, s in own.items()}
    return {name: (together[name][0], together[name][1]) for name in setting.names}


def one_round(setting: Setting, snapshot: Snapshot) -> tuple[Snapshot, dict[str, Any]]:
    """Runs a round.

    Args:
      setting: of the federation.
      snapshot: before the round.

    Returns:
      The snapshot after the round, and its line of the log.

    Raises:
      KeyboardInterrupt: when a signal asked the program to stop.
    """
    interrupt.check()
    cohort = make_cohort(setting, snapshot, int(snapshot.server.round) + 1)
    server, states, info = setting.compiled.run_round(snapshot.server, cohort, setting.example)
    server = peers.first(
        server
    )  # devices may round in their own ways: all go on from the same bits
    names = [client.name for client in cohort]
    returned = dict(zip(names, states))
    clients = [returned.get(n, s) for n, s in zip(setting.names, snapshot.clients)]
    sums = validate(setting, server, clients)
    after = end_round(setting.experiment, snapshot, server, clients, sums)
    return after, log_line(after, names, info, sums)
