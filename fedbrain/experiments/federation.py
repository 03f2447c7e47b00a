"""Trains one federation to its end, in simulation, and returns the best round's models."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp

from fedbrain import progress
from fedbrain.data.dataset import shape_of
from fedbrain.data.pipeline import example_batch
from fedbrain.data.regimes import Federation
from fedbrain.experiments.compiled import Compiled
from fedbrain.experiments.config import Experiment
from fedbrain.experiments.exclusions import exclusions, newly_excluded
from fedbrain.experiments.feasible import is_defined
from fedbrain.experiments.private import Spent, spend_all
from fedbrain.experiments.profile import traced
from fedbrain.experiments.round_end import Snapshot, first_snapshot
from fedbrain.experiments.rounds import Rounds
from fedbrain.experiments.simulation import Setting, one_round, upload
from fedbrain.experiments.workdir import MetricsLog, write_json
from fedbrain.training.device_volumes import streamed
from fedbrain.training.selection import Selection
from fedbrain.types import Variables


class Trained(NamedTuple):
    """The best round's models, one per client (the same one when nothing is private)."""

    variables: dict[str, Variables]  # client -> model
    selection: Selection  # which round is the best, and its validation loss
    local_steps: int  # of all clients in all rounds
    excluded: dict[str, dict[str, int]]  # client -> rounds without it, see `exclusions`
    spent: Mapping[str, Spent] = {}  # client -> what was told of its people, where noise hides them


def untrained(experiment: Experiment, examples: Sequence[int], variables: Variables) -> Snapshot:
    """The snapshot before the first round.

    Args:
      experiment: gives the algorithm.
      examples: number of training scans of every client.
      variables: the initial model, or its outline.
    """
    algorithm = experiment.algorithm
    server = algorithm.init(variables, jnp.asarray(examples, jnp.float32))
    return first_snapshot(server, [algorithm.init_client(variables) for _ in examples])


def best_models(
    experiment: Experiment, names: Sequence[str], snapshot: Snapshot
) -> dict[str, Variables]:
    """The best round's model of each client.

    Args:
      experiment: gives the algorithm.
      names: of the clients, sorted.
      snapshot: with the clients' private states.
    """
    combine = experiment.algorithm.client_variables
    return {n: combine(snapshot.best_server, s) for n, s in zip(names, snapshot.best_clients)}


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
      ValueError: when no round had a finite validation loss, or every round was skipped.
    """
    names = sorted(federation.clients)
    scans = [federation.clients[name].train for name in names]
    example = example_batch(shape_of(scans), experiment.batch_size, experiment.inputs)
    volumes = upload(federation, experiment.residence or streamed(), f"{title}: to the device")
    setting = Setting(federation, names, experiment, compiled, seed, example, volumes)
    first = untrained(experiment, [len(s) for s in scans], initial)
    with (
        Rounds(folder, experiment, first) as rounds,
        progress.Steps(title, unit="round", total=experiment.rounds, done=rounds.done) as steps,
    ):
        write_json(folder / "members.json", names)
        excluded = set(exclusions(MetricsLog.read(rounds.log.path)))
        for line in rounds.run(traced(partial(one_round, setting), rounds=experiment.rounds)):
            show(steps, line, excluded)
    history = MetricsLog.read(rounds.log.path)
    require_trained(
        folder,
        rounds.snapshot,
        history,
        defined=lambda n: is_defined(experiment.algorithm, initial, example, clients=n),
    )
    steps = sum(int(sum(line["steps"].values())) for line in history)
    models = best_models(experiment, names, rounds.snapshot)
    spent = spend_all(experiment.privacy, federation, rounds=int(rounds.snapshot.server.round))
    return Trained(models, rounds.snapshot.selection, steps, exclusions(history), spent)


def show(steps: progress.Steps, line: Mapping[str, Any], excluded: set[str]) -> None:
    """Shows a round, and a client the first time that its update is excluded.

    Args:
      steps: of the federation.
      line: of the log.
      excluded: clients that were excluded before; changed in place.
    """
    for name in newly_excluded(line, excluded):
        progress.say(
            f"WARNING round {line['round']}: what {name} computed is not finite; the model is made"
            " without it. Later rounds are counted in the results."
        )
    if line["skipped"]:
        progress.say(f"Round {line['round']}: round skipped and logged.")
    steps.reach(line["round"], f"valid {line['valid_loss']:.2f}, best round {line['best_round']}")


def usable(line: Mapping[str, Any]) -> int:
    """How many clients sent finite numbers in a round.

    Args:
      line: of the log.
    """
    return sum(n > 0 and not line["rejected"][name] for name, n in line["steps"].items())


def require_trained(
    folder: Path,
    snapshot: Snapshot,
    history: Sequence[Mapping[str, Any]],
    *,
    defined: Callable[[int], bool] | None = None,
) -> None:
    """Raises ValueError when no round had a finite validation loss, or every round was skipped.

    Args:
      folder: of the federation, for the sentence.
      snapshot: after the last round.
      history: lines of the log; empty when it is lost.
      defined: whether the server's rule is defined for so many clients; asked only when every
        round was skipped; None: the cause is left open.
    """
    if int(snapshot.selection.best_round) < 0:
        raise ValueError(
            f"{folder}: expected a finite validation loss in some round, got none. Lower the"
            " learning rate."
        )
    if not history or not all(line["skipped"] for line in history):
        return
    most = max(map(usable, history))
    if most and defined is None:
        raise ValueError(f"{folder}: every round was skipped.")
    if most and defined and not defined(most):
        clients = "1 client" if most == 1 else f"{most} clients"
        raise ValueError(
            f"{folder}: every round was skipped: config.server.aggregator, or a link before it, is"
            f" not defined for {clients}. Choose another rule."
        )
    cause = "the server's step was not finite" if most else "no client sent finite numbers"
    raise ValueError(f"{folder}: every round was skipped: {cause}. Lower the learning rate.")
