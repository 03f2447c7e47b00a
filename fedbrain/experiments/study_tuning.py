"""Tuning of a study: every method is given equally many trials under every attack.

Each seed chooses by its own validation examples, which are some of its training examples, and is
then trained on all of them and tested once. A mean over seeds would choose by examples that other
seeds test.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from fedbrain.analysis.tuning_table import Tuned
from fedbrain.data.problem import Problem
from fedbrain.data.validation import validation_problem
from fedbrain.experiments.spec import at_least
from fedbrain.experiments.study import Cell
from fedbrain.experiments.study_cell import Scores
from fedbrain.experiments.study_ranges import tried

Reduce = Callable[[np.ndarray], np.ndarray]  # [seeds, evaluations, clients] -> [seeds, clients]


def validation_problems(config: Any, problems: list[Problem]) -> list[Problem]:
    """The problem of every seed with validation examples in place of the test.

    Args:
      config: of the study.
      problems: the data of every seed.
    """
    parts = at_least("tune.parts", config.tune.parts, 2)
    return [validation_problem(p, config.seed + k, parts) for k, p in enumerate(problems)]


def choose_settings(
    todo: Sequence[Cell], scores: Sequence[Scores], reduce: Reduce, better: int
) -> list[Tuned]:
    """The setting of the best validation score, seed by seed; the first of equal ones.

    Args:
      todo: trials, from `trial_cells`.
      scores: of each on validation examples.
      reduce: from a history to a score of each client.
      better: 1 when large scores are good, else -1.
    """
    groups: dict[tuple[str, str], list[int]] = {}
    for number, cell in enumerate(todo):
        groups.setdefault((cell.method, cell.attack), []).append(number)
    tuned = []
    for (method, attack), numbers in groups.items():
        validation = np.stack([_overall(scores[k], reduce) for k in numbers])
        ranked = better * np.nan_to_num(validation, nan=-better * np.inf)  # diverged: last
        settings = [dict(todo[k].settings) for k in numbers]
        tuned.append(Tuned(method, attack, settings, validation, np.argmax(ranked, axis=0)))
    return tuned


def _overall(scores: Scores, reduce: Reduce) -> Float[np.ndarray, " seeds"]:
    """Of all examples of a federation."""
    return (reduce(scores.scores) * scores.examples).sum(1) / scores.examples.sum(1)


def chosen_cells(config: Any, tuned: Sequence[Tuned]) -> list[Cell]:
    """Every chosen setting, for the seeds that chose it.

    Args:
      config: of the study.
      tuned: of every method and attack.
    """
    return [
        tried(config, one.method, one.attack, one.settings[k], seeds=_seeds(one, k))
        for one in tuned
        for k in sorted(set(one.chosen.tolist()))
    ]


def _seeds(tuned: Tuned, trial: int) -> tuple[int, ...]:
    return tuple(np.flatnonzero(tuned.chosen == trial).tolist())


def put_together(todo: Sequence[Cell], scores: Sequence[Scores]) -> dict[tuple[str, str], Scores]:
    """The scores of all seeds of every method and attack, each under the setting that it chose.

    Args:
      todo: from `chosen_cells`.
      scores: of each on test examples.
    """
    parts: dict[tuple[str, str], list[tuple[Cell, Scores]]] = {}
    for cell, measured in zip(todo, scores):
        parts.setdefault((cell.method, cell.attack), []).append((cell, measured))
    together = {}
    for key, some in parts.items():
        order = np.argsort([seed for cell, _ in some for seed in cell.seeds or ()])
        arrays = zip(*(measured for _, measured in some))
        together[key] = Scores(*(np.concatenate(every)[order] for every in arrays))
    return together
