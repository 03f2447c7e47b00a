"""What each client is worth: leave-one-out and Shapley values of the accuracy on the test examples
of all clients, with intervals over seeds.

Trains every coalition of the clients of a study: exact Shapley values for up to 6 clients,
GTG-Shapley on the first seed for more.
"""

from typing import Any

import numpy as np
from jaxtyping import Float

from fedbrain.analysis.intervals import over_seeds, span
from fedbrain.analysis.shapley import MOST_EXACT, gtg_shapley, leave_one_out, shapley
from fedbrain.data.problem import ClientData, Problem
from fedbrain.experiments.study import Cell, cells, draw_problems
from fedbrain.experiments.study_cell import run_cell
from fedbrain.experiments.study_ranges import is_tuned
from fedbrain.experiments.study_references import floor


def coalition_value(
    cell: Cell, problems: list[Problem], members: frozenset[str], better: int
) -> Float[np.ndarray, " seeds"]:
    """Score of the model that some clients train together, on the test examples of all clients.

    Args:
      cell: of the study.
      problems: the data of every seed.
      members: of the coalition; without members the model is a constant.
      better: 1 when large scores are good, else -1.
    """
    if not members:
        scores = floor(problems)
        return better * (scores.scores[:, -1] * scores.examples).sum(1) / scores.examples.sum(1)
    parts = []
    for problem in problems:
        tests = [c.test for c in problem.clients.values()]
        images = np.concatenate([x for x, _ in tests])
        targets = np.concatenate([y for _, y in tests])
        clients = {n: ClientData(problem.clients[n].train, (images, targets)) for n in members}
        parts.append(problem._replace(clients=clients))
    return better * run_cell(cell, parts, cell.config.seed).scores[:, -1, 0]


def run(config: Any, method: str) -> None:
    """Prints what each client is worth to a method.

    Args:
      config: of the study.
      method: one of the study's.

    Raises:
      ValueError: for an unknown method, and for a study that is tuned.
    """
    if is_tuned(config):
        raise ValueError(
            "config.tune.trials: expected 0, since contributions are those of one setting, got"
            f" {config.tune.trials}. Write the setting into config.methods."
        )
    of_method = [cell for cell in cells(config) if cell.method == method]
    if not of_method:
        raise ValueError(f"--method: expected one of {sorted(config.methods)}, got {method!r}.")
    cell = of_method[0]
    problems = draw_problems(config)
    names = sorted(problems[0].clients)
    unit = problems[0].unit
    better = 1 if unit == "accuracy" else -1
    worth = "% accuracy gained" if unit == "accuracy" else f"{unit} of MAE saved"
    if len(names) > MOST_EXACT:

        def first_seed(members: frozenset[str]) -> float:
            return float(coalition_value(cell, problems[:1], members, better)[0])

        values = gtg_shapley(first_seed, names, tolerance=0.05, seed=config.seed)
        print(f"GTG-Shapley, {worth}, one seed:")
        print("\n".join(f"{name}  {float(v):+.2f}" for name, v in values.items()))
        return
    known: dict[frozenset[str], np.ndarray] = {}

    def value(members: frozenset[str]) -> np.ndarray:
        if members not in known:
            known[members] = coalition_value(cell, problems, members, better)
        return known[members]

    print(
        f"{method}, {config.seeds} seeds, {worth} on the test examples of all clients"
        " (95 % over seeds)"
    )
    for title, values in (
        ("leave one out", leave_one_out(value, names)),
        ("Shapley", shapley(value, names)),
    ):
        for name, v in values.items():
            interval = span(over_seeds(np.asarray(v)), "+.2f")
            print(f"{title:14s} {name:8s} {float(np.mean(v)):+.2f} ({interval})")
