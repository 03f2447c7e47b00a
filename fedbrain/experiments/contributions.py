"""What each client is worth: python -m fedbrain.contribute --config=configs/hospitals.py
[--method=FedAvg].

Trains every coalition of the clients of a study (up to 6 clients: exact Shapley values; more:
GTG-Shapley on the first seed) and prints leave-one-out and Shapley values of the accuracy on all
clients' test examples, with intervals over seeds.
"""

from typing import Any

import numpy as np

from fedbrain.analysis.shapley import MOST_EXACT, gtg_shapley, leave_one_out, shapley
from fedbrain.analysis.study_table import bootstrap_mean
from fedbrain.data.problems import ClientData, Problem
from fedbrain.experiments import study


def coalition_value(
    cell: study.Cell, problems: list[Problem], members: frozenset[str], better: int
) -> np.ndarray:
    """Score [seeds] of the model that these clients train, on everybody's test examples; of a
    constant for nobody.
    """
    if not members:
        scores = study.floor(problems)
        return better * (scores.scores[:, -1] * scores.examples).sum(1) / scores.examples.sum(1)
    parts = []
    for problem in problems:
        tests = [c.test for c in problem.clients.values()]
        everybody = np.concatenate([x for x, _ in tests]), np.concatenate([y for _, y in tests])
        parts.append(
            problem._replace(
                clients={n: ClientData(problem.clients[n].train, everybody) for n in members}
            )
        )
    return better * study.run_cell(cell, parts, cell.config.seed).scores[:, -1, 0]


def run(config: Any, method: str) -> None:
    """Prints the values."""
    found = [cell for cell in study.cells(config) if cell.method == method]
    if not found:
        raise ValueError(f"--method: expected one of {sorted(config.methods)}, got {method!r}.")
    problems = study.draw(config)
    names = sorted(problems[0].clients)
    unit = problems[0].unit
    better = 1 if unit == "accuracy" else -1
    what = "% accuracy gained" if unit == "accuracy" else f"{unit} of MAE saved"
    if len(names) > MOST_EXACT:

        def first(members: frozenset[str]) -> float:
            return float(coalition_value(found[0], problems[:1], members, better)[0])

        values = gtg_shapley(first, names, tolerance=0.05, seed=config.seed)
        print(f"GTG-Shapley, {what}, one seed:")
        print("\n".join(f"{name}  {float(v):+.2f}" for name, v in values.items()))
        return
    known: dict[frozenset[str], np.ndarray] = {}

    def value(members: frozenset[str]) -> np.ndarray:
        if members not in known:
            known[members] = coalition_value(found[0], problems, members, better)
        return known[members]

    print(f"{method}, {config.seeds} seeds, {what} on everybody's test examples (95 % over seeds)")
    for title, made in (
        ("leave one out", leave_one_out(value, names)),
        ("Shapley", shapley(value, names)),
    ):
        for name, v in made.items():
            low, high = bootstrap_mean(np.asarray(v))
            print(f"{title:14s} {name:8s} {float(np.mean(v)):+.2f} ({low:+.2f} to {high:+.2f})")
