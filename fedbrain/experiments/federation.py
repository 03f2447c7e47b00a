"""Trains one federation to its end: rounds, validation of the aggregated model, checkpoints,
progress.

Everything that decides what comes next is in the checkpoint or a function of (seed, round, client),
so a killed run ends in the same bits as one that was not.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from tqdm import tqdm

from fedbrain.data.dataset import shape_of
from fedbrain.data.pipeline import HostBatch, example_batch
from fedbrain.data.regimes import Federation
from fedbrain.experiments import interrupt
from fedbrain.experiments.checkpoints import Checkpoints
from fedbrain.experiments.client_work import make_client, validation_loss
from fedbrain.experiments.config import Experiment
from fedbrain.experiments.workdir import MetricsLog, write_json
from fedbrain.training.device_volumes import Residence, store, streamed
from fedbrain.training.evaluate import Evaluate, make_evaluate
from fedbrain.training.round import Client, make_round
from fedbrain.training.selection import Selection, observe, should_stop, start
from fedbrain.types import ClientState, ServerState, Variables

SUMS = ("loss", "count", "examples", "trusted")  # of a round's report: not logged as they are


class Compiled(NamedTuple):
    """Compiled functions, shared by all federations of an experiment."""

    run_round: Callable  # see `make_round`
    evaluate: Evaluate


class Snapshot(NamedTuple):
    """Everything a checkpoint holds. Client states are lists in the order of client names."""

    server: ServerState
    clients: list[ClientState]
    selection: Selection
    best_server: ServerState
    best_clients: list[ClientState]


class Setting(NamedTuple):
    """What stays the same from round to round."""

    federation: Federation
    names: list[str]  # of the members, sorted
    experiment: Experiment
    compiled: Compiled
    seed: int  # of sampling, shuffling, augmentation and dropout
    example: HostBatch  # zeros of a batch's shapes
    volumes: dict[str, Array]  # of members, on the device; empty when they stream from the host


class Trained(NamedTuple):
    """The best round's models, one per member (the same one when nothing is private)."""

    variables: dict[str, Variables]
    selection: Selection
    local_steps: int


def compile_experiment(experiment: Experiment) -> Compiled:
    """Composes the round and the evaluation of an experiment."""
    if experiment.driver is None:
        raise ValueError(
            "config.driver: expected a driver, got 'auto()', which only an experiment chooses (see"
            " place)."
        )
    run_round = make_round(
        experiment.algorithm,
        experiment.driver,
        experiment.trusted,
        turns=experiment.inputs.augment.turns,
    )
    return Compiled(run_round, make_evaluate(experiment.task))


def random_variables(experiment: Experiment, shape: tuple[int, ...]) -> Variables:
    """Fresh variables for images [d h w c]; depend on the seed alone."""
    example = {
        name: jnp.asarray(x) for name, x in example_batch(shape, 1, experiment.inputs).items()
    }
    return experiment.task.init(
        jax.random.key(experiment.seed), example["image"], example.get("covariates")
    )


def members_variables(
    experiment: Experiment, names: list[str], snapshot: Snapshot
) -> dict[str, Variables]:
    """The best round's model of each member."""
    combine = experiment.algorithm.client_variables
    return {n: combine(snapshot.best_server, s) for n, s in zip(names, snapshot.best_clients)}


def first_snapshot(experiment: Experiment, examples: list[int], variables: Variables) -> Snapshot:
    """Before the first round, from the members' numbers of training scans; also the outline that a
    checkpoint must have.
    """
    server = experiment.algorithm.init(variables, jnp.asarray(examples, jnp.float32))
    clients = [experiment.algorithm.init_client(variables) for _ in examples]
    return Snapshot(server, clients, start(), server, clients)


def make_cohort(setting: Setting, snapshot: Snapshot, round: int) -> list[Client]:
    """The round's clients."""
    states = dict(zip(setting.names, snapshot.clients))
    how = {"experiment": setting.experiment, "round": round, "seed": setting.seed}
    return [
        make_client(
            name,
            setting.federation.clients[name].train,
            states[name],
            volumes=setting.volumes.get(name),
            **how,
        )
        for name in setting.experiment.sampling(setting.names, round, setting.seed)
    ]


def upload(federation: Federation, residence: Residence, title: str) -> dict[str, Array]:
    """All training volumes on the device, one array a member; padded to one length, so that members
    stand side by side.
    """
    if residence.dtype is None:
        return {}
    longest = max(len(m.train) for m in federation.clients.values())
    found = {}
    for name, split in federation.clients.items():
        volumes = [
            store(jnp.asarray(v)[None], residence.dtype)[0]
            for v in tqdm(split.train.volumes, title, leave=False)
        ]
        spare = jnp.zeros((longest - len(volumes), *volumes[0].shape), volumes[0].dtype)
        found[name] = jnp.concatenate([jnp.stack(volumes), spare])
    return found


def validate(setting: Setting, snapshot: Snapshot) -> dict[str, tuple[float, int]]:
    """(sum of losses, scans) of the aggregated model on each member's validation set."""
    combine, sums = setting.experiment.algorithm.client_variables, {}
    for name, state in zip(setting.names, snapshot.clients):
        scans = setting.federation.clients[name].valid
        variables = combine(snapshot.server, state)
        sums[name] = validation_loss(
            setting.compiled.evaluate, variables, scans, setting.experiment
        )
    return sums


def pooled(sums: Mapping[str, tuple[float, int]]) -> float:
    """The mean loss over all validation scans."""
    return sum(s for s, _ in sums.values()) / max(1, sum(n for _, n in sums.values()))


def judge(
    experiment: Experiment, server: ServerState, selection: Selection, round: int, valid_loss: float
) -> tuple[ServerState, Selection]:
    """Takes a round's validation loss into account: the best model so far, and the next learning
    rate.
    """
    selection = observe(selection, valid_loss, round=round, patience=experiment.patience)
    scale = float(selection.learning_rate_scale) * experiment.schedule(round, experiment.rounds)
    return server._replace(learning_rate_scale=np.asarray(scale, np.float32)), selection


def one_round(setting: Setting, snapshot: Snapshot, round: int) -> tuple[Snapshot, dict[str, Any]]:
    """Runs a round and returns what it leads to, and a line for the log."""
    cohort = make_cohort(setting, snapshot, round)
    server, states, info = setting.compiled.run_round(snapshot.server, cohort, setting.example)
    names = [client.name for client in cohort]
    returned = dict(zip(names, states))
    clients = [returned.get(n, s) for n, s in zip(setting.names, snapshot.clients)]
    sums = validate(setting, snapshot._replace(server=server, clients=clients))
    loss = pooled(sums)
    server, selection = judge(setting.experiment, server, snapshot.selection, round, loss)
    snapshot = snapshot._replace(server=server, clients=clients, selection=selection)
    if int(selection.best_round) == round:
        snapshot = snapshot._replace(best_server=server, best_clients=clients)
    values = {name: np.asarray(value).tolist() for name, value in info.items() if name not in SUMS}
    report = {name: dict(zip(names, v)) if isinstance(v, list) else v for name, v in values.items()}
    return snapshot, {
        "round": round,
        "best_round": int(snapshot.selection.best_round),
        "learning_rate_scale": float(snapshot.server.learning_rate_scale),  # of the next round
        "train_loss": {
            n: float(s / max(c, 1)) for n, s, c in zip(names, info["loss"], info["count"])
        },
        "valid_loss": loss,
        "valid_loss_by_client": {n: s / max(c, 1) for n, (s, c) in sums.items()},
        **report,
    }


def train(
    federation: Federation,
    experiment: Experiment,
    compiled: Compiled,
    initial: Variables,
    *,
    folder: Path,
    seed: int,
    title: str,
) -> Trained:
    """Runs the rounds that are still to be run, and returns the best round's models.

    Args:
      federation: who trains together.
      experiment: what is trained, and how.
      compiled: functions of the experiment.
      initial: the model that everybody starts from.
      folder: of this federation's checkpoints and metrics.
      seed: of sampling, shuffling, augmentation and dropout.
      title: of the progress bar.

    Raises:
      ValueError: when no round had a finite validation loss.
    """
    shape = shape_of([m.train for m in federation.clients.values()])
    example = example_batch(shape, experiment.batch_size, experiment.inputs)
    volumes = upload(federation, experiment.residence or streamed(), f"{title}: to the device")
    setting = Setting(
        federation, sorted(federation.clients), experiment, compiled, seed, example, volumes
    )
    first = first_snapshot(
        experiment, [len(federation.clients[n].train) for n in setting.names], initial
    )
    checkpoints = Checkpoints(folder / "checkpoints", keep=experiment.keep)
    done, snapshot = checkpoints.restore_latest(first) or (0, first)
    metrics = MetricsLog(folder / "metrics.jsonl", rounds=done)
    write_json(folder / "members.json", setting.names)
    with tqdm(total=experiment.rounds, initial=done, desc=title, unit="round") as bar:
        try:
            for round in range(done + 1, experiment.rounds + 1):
                if should_stop(snapshot.selection, experiment.patience):
                    break
                interrupt.check()
                snapshot, line = one_round(setting, snapshot, round)
                metrics.write(line)
                checkpoints.save(round, snapshot)
                if line["skipped"] or any(line["rejected"].values()):
                    names = [name for name, gone in line["rejected"].items() if gone]
                    bar.write(
                        f"Round {round}: not finite, left out:"
                        f" {names}.{' Skipped.' if line['skipped'] else ''}"
                    )
                bar.set_postfix(valid=f"{line['valid_loss']:.2f}", best=line["best_round"])
                bar.update()
        finally:
            checkpoints.close()
    if int(snapshot.selection.best_round) < 0:
        raise ValueError(
            f"{folder}: expected a finite validation loss in some round, got none. Lower the"
            " learning rate."
        )
    if all(line["skipped"] for line in MetricsLog.read(metrics.path)):
        raise ValueError(
            f"{folder}: every round was skipped: no client sent finite numbers. Lower the learning"
            " rate."
        )
    steps = sum(int(sum(line["steps"].values())) for line in MetricsLog.read(metrics.path))
    return Trained(
        members_variables(experiment, setting.names, snapshot), snapshot.selection, steps
    )
