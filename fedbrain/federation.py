"""Trains one federation to its end: rounds, validation of the aggregated model, checkpoints, progress.

Everything that decides what comes next is in the checkpoint or a function of (seed, round, client), so a killed run ends
in the same bits as one that was not.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from fedbrain.build import Experiment
from fedbrain.data.dataset import Scans, shape_of
from fedbrain.data.pipeline import eval_batches, example_batch, pipeline_seed, train_batches
from fedbrain.data.regimes import Federation
from fedbrain.evaluate import Evaluate, make_evaluate
from fedbrain.io.checkpoint import Checkpoints
from fedbrain.io.run import MetricsLog, write_json
from fedbrain.round import Client, make_round
from fedbrain.selection import Selection, observe, should_stop, start
from fedbrain.types import ClientState, ServerState, Variables


class Machine(NamedTuple):
    """Compiled functions, shared by all federations of an experiment."""

    run_round: Callable
    evaluate: Evaluate


class Snapshot(NamedTuple):
    """Everything a checkpoint holds. Client states are lists in the order of client names."""

    server: ServerState
    clients: list[ClientState]
    selection: Selection
    best_server: ServerState
    best_clients: list[ClientState]


class Trained(NamedTuple):
    """The best round's models, one per member (the same one when nothing is private)."""

    variables: dict[str, Variables]
    selection: Selection
    local_steps: int


def make_machine(experiment: Experiment) -> Machine:
    """Composes the round and the evaluation of an experiment."""
    return Machine(make_round(experiment.algorithm, experiment.driver), make_evaluate(experiment.task))


def initial_variables(experiment: Experiment, shape: tuple[int, int, int]) -> Variables:
    """The model that every federation starts from; depends on the seed alone."""
    return experiment.task.init(jax.random.key(experiment.seed), jnp.zeros((1, *shape, 1)))


def sample_cohort(names: list[str], count: int, *, seed: int, round: int) -> list[str]:
    """`count` clients drawn without replacement for a round; all of them when `count` is 0 or too large."""
    if not 0 < count < len(names):
        return names
    rng = np.random.default_rng([seed, round, 0x5A])
    return sorted(rng.choice(names, count, replace=False).tolist())


def members_variables(experiment: Experiment, names: list[str], snapshot: Snapshot) -> dict[str, Variables]:
    """The best round's model of each member."""
    combine = experiment.algorithm.client_variables
    return {n: combine(snapshot.best_server, s) for n, s in zip(names, snapshot.best_clients)}


def first_snapshot(experiment: Experiment, members: int, shape: tuple[int, int, int]) -> Snapshot:
    """Before the first round; also the outline that a checkpoint must have."""
    variables = initial_variables(experiment, shape)
    server = experiment.algorithm.init(variables)
    clients = [experiment.algorithm.init_client(variables) for _ in range(members)]
    return Snapshot(server, clients, start(), server, clients)


def validate(
    machine: Machine, experiment: Experiment, snapshot: Snapshot, valid: Mapping[str, Scans]
) -> dict[str, tuple[float, int]]:
    """(sum of losses, scans) of the aggregated model on each member's validation set."""
    sums = {}
    for (name, scans), state in zip(valid.items(), snapshot.clients):
        variables = experiment.algorithm.client_variables(snapshot.server, state)
        _, losses = machine.evaluate(variables, eval_batches(scans, batch_size=experiment.batch_size))
        sums[name] = float(losses.astype(np.float64).sum()), losses.size
    return sums


def train(
    federation: Federation, experiment: Experiment, machine: Machine, *, folder: Path, seed: int, title: str
) -> Trained:
    """Runs the rounds that are still to be run, and returns the best round's models.

    Args:
      federation: who trains together.
      experiment: what is trained, and how.
      machine: of the experiment.
      folder: of this federation's checkpoints and metrics.
      seed: of sampling, shuffling, augmentation and dropout.
      title: of the progress bar.
    """
    names = sorted(federation.members)
    valid = {name: federation.members[name].valid for name in names}
    shape = shape_of([m.train for m in federation.members.values()])
    example = example_batch(shape, experiment.batch_size)
    root = jax.random.key(seed)
    checkpoints = Checkpoints(folder / "checkpoints", keep=experiment.keep)
    done, snapshot = checkpoints.restore_latest(first := first_snapshot(experiment, len(names), shape)) or (0, first)
    metrics = MetricsLog(folder / "metrics.jsonl", rounds=done)
    write_json(folder / "members.json", names)

    def client(name: str, round: int) -> Client:
        member = federation.members[name]
        number = pipeline_seed(name)
        batches = train_batches(
            member.train, batch_size=experiment.batch_size, epochs=experiment.epochs,
            seed=pipeline_seed(seed, round, name), augment=experiment.augment,
        )  # fmt: skip
        key = jax.random.fold_in(jax.random.fold_in(root, round), number)
        return Client(name, len(member.train), snapshot.clients[names.index(name)], key, batches)

    def one_round(snapshot: Snapshot, round: int) -> tuple[Snapshot, dict]:
        cohort = sample_cohort(names, experiment.clients_per_round, seed=seed, round=round)
        server, states, info = machine.run_round(snapshot.server, [client(n, round) for n in cohort], example)
        returned = dict(zip(cohort, states))
        clients = [returned.get(n, s) for n, s in zip(names, snapshot.clients)]
        snapshot = snapshot._replace(server=server, clients=clients)
        sums = validate(machine, experiment, snapshot, valid)
        loss = sum(s for s, _ in sums.values()) / max(1, sum(n for _, n in sums.values()))
        selection = observe(snapshot.selection, loss, round=round, patience=experiment.patience)
        scale = float(selection.learning_rate_scale) * experiment.schedule(round, experiment.rounds)
        server = server._replace(learning_rate_scale=np.asarray(scale, np.float32))
        snapshot = snapshot._replace(server=server, selection=selection)
        if int(selection.best_round) == round:
            snapshot = snapshot._replace(best_server=server, best_clients=clients)
        train_loss = {n: float(s / max(c, 1)) for n, s, c in zip(cohort, info["loss"], info["count"])}
        line = {
            "round": round, "valid_loss": loss, "best_round": int(selection.best_round),
            "learning_rate_scale": scale, "train_loss": train_loss,
            "valid_loss_by_client": {n: s / max(c, 1) for n, (s, c) in sums.items()},
            "steps": dict(zip(cohort, np.asarray(info["steps"], int).tolist())),
            "delta_norm": dict(zip(cohort, info["delta_norm"].tolist())),
            "cosine": dict(zip(cohort, info["cosine"].tolist())), "diversity": float(info["diversity"]),
        }  # fmt: skip
        return snapshot, line

    with tqdm(total=experiment.rounds, initial=done, desc=title, unit="round") as bar:
        try:
            for round in range(done + 1, experiment.rounds + 1):
                if should_stop(snapshot.selection, experiment.patience):
                    break
                snapshot, line = one_round(snapshot, round)
                metrics.write(line)
                checkpoints.save(round, snapshot)
                bar.set_postfix(valid=f"{line['valid_loss']:.2f}", best=line["best_round"])
                bar.update()
        finally:
            checkpoints.close()
    steps = sum(sum(line["steps"].values()) for line in MetricsLog.read(metrics.path))
    return Trained(members_variables(experiment, names, snapshot), snapshot.selection, steps)
