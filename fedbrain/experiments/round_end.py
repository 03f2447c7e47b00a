"""The end of a round, the same in simulation and between hospitals: the pooled validation loss
selects the best model and sets the next learning rate, and the round becomes a line of the log.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from fedbrain.experiments.config import Experiment
from fedbrain.training.selection import Selection, observe, start
from fedbrain.types import ClientState, Metrics, ServerState

# client -> (sum of losses, number of scans) of the aggregated model on its validation scans
ValidationSums = Mapping[str, tuple[float, int]]
SUMS = (
    "loss",
    "count",
    "examples",
    "trusted",
    "place",
)  # metrics of a round that are not logged as they are


class Snapshot(NamedTuple):
    """Everything that a checkpoint holds.

    Private states are in the order of client names. Between hospitals the lists are empty: each
    site keeps its own state.
    """

    server: ServerState  # after the last round
    clients: list[ClientState]  # after the last round
    selection: Selection  # which round is the best, and how long it has been
    best_server: ServerState  # after the best round
    best_clients: list[ClientState]  # after the best round


def first_snapshot(server: ServerState, clients: list[ClientState]) -> Snapshot:
    """Before the first round; also the outline that a checkpoint must have.

    Args:
      server: as the algorithm starts.
      clients: private states, in the order of client names.
    """
    return Snapshot(server, clients, start(), server, clients)


def pooled_loss(sums: ValidationSums) -> float:
    """The mean loss over the validation scans of all clients.

    Args:
      sums: of every client.
    """
    return sum(s for s, _ in sums.values()) / max(1, sum(n for _, n in sums.values()))


def end_round(
    experiment: Experiment,
    before: Snapshot,
    server: ServerState,
    clients: list[ClientState],
    sums: ValidationSums,
) -> Snapshot:
    """Selects the best model so far, and the learning rate of the next round.

    Args:
      experiment: gives the patience and the learning rate schedule.
      before: the round.
      server: after aggregation.
      clients: private states after the round.
      sums: of the aggregated model.
    """
    round = int(before.server.round) + 1
    selection = observe(
        before.selection, pooled_loss(sums), round=round, patience=experiment.patience
    )
    scale = float(selection.learning_rate_scale) * experiment.schedule(round, experiment.rounds)
    server = server._replace(learning_rate_scale=np.asarray(scale, np.float32))
    if int(selection.best_round) == round:
        return Snapshot(server, clients, selection, server, clients)
    return Snapshot(server, clients, selection, before.best_server, before.best_clients)


def log_line(
    after: Snapshot, names: Sequence[str], info: Metrics, sums: ValidationSums
) -> dict[str, Any]:
    """The line of a round in `metrics.jsonl`.

    Args:
      after: the round.
      names: of the cohort, in the order of `info`.
      info: metrics of the round; those with an axis have one entry a client.
      sums: of the aggregated model.
    """
    metrics = {name: np.asarray(value) for name, value in info.items()}
    reported = {name: value.tolist() for name, value in metrics.items() if name not in SUMS}
    return {
        "round": int(after.server.round),
        "best_round": int(after.selection.best_round),
        "learning_rate_scale": float(after.server.learning_rate_scale),  # of the next round
        "train_loss": {
            name: float(s / max(n, 1))
            for name, s, n in zip(names, metrics.get("loss", ()), metrics["count"])
        },
        "valid_loss": pooled_loss(sums),
        "valid_loss_by_client": {name: s / max(n, 1) for name, (s, n) in sums.items()},
        **{
            name: dict(zip(names, value)) if isinstance(value, list) else value
            for name, value in reported.items()
        },
    }


def split_weight(selection: Selection) -> float:
    """The weight of a best model among the inner splits of a repeat: 1 / validation loss.

    Args:
      selection: of a trained federation.
    """
    return 1 / max(float(selection.best_loss), 1e-9)
