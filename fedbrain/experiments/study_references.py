"""Reference points of a study: a method that every client chooses for itself by cross-validation on
its own training examples, and a constant prediction.
"""

import numpy as np

from fedbrain.data.problem import ClientData, Problem
from fedbrain.experiments.study_cell import Scores


def inner_problems(problems: list[Problem], folds: int) -> list[Problem]:
    """Every problem's training examples, cut into folds.

    Args:
      problems: the data of every seed.
      folds: of the cross-validation.

    Returns:
      [problem 0 without fold 0, problem 0 without fold 1, ...]; a fold is the test part.
    """
    inner = []
    for number, problem in enumerate(problems):
        for fold in range(folds):
            clients = {}
            for name, client in problem.clients.items():
                x, y = client.train
                order = np.random.default_rng([number, 0xF0]).permutation(len(y))
                held_out = np.zeros(len(y), bool)
                held_out[order[fold::folds]] = True
                train = x[~held_out], y[~held_out]
                clients[name] = ClientData(train, (x[held_out], y[held_out]))
            inner.append(problem._replace(clients=clients))
    return inner


def choose_per_client(outer: list[Scores], inner: list[Scores], folds: int, better: int) -> Scores:
    """Each client uses the method that did best in cross-validation on its own training examples.

    Args:
      outer: of each method on the problems.
      inner: of each method on `inner_problems`.
      folds: of the cross-validation.
      better: 1 when large scores are good, else -1.
    """
    mean_scores = []
    for scores in inner:
        last = scores.scores[:, -1].reshape(-1, folds, scores.scores.shape[-1])
        n = scores.examples.reshape(last.shape)
        mean_scores.append(better * (last * n).sum(1) / n.sum(1))
    best = np.argmax(np.stack(mean_scores), axis=0)  # [seeds, clients]
    chosen = np.take_along_axis(np.stack([s.scores for s in outer]), best[None, :, None], axis=0)[0]
    return outer[0]._replace(scores=chosen, skipped=sum(s.skipped for s in outer) / len(outer))


def floor(problems: list[Problem]) -> Scores:
    """What a constant scores: the median of all training targets, or the commonest class.

    Args:
      problems: the data of every seed.
    """
    scores = []
    for problem in problems:
        targets = np.concatenate([c.train[1] for c in problem.clients.values()])
        values, counts = np.unique(targets, return_counts=True)
        constant = values[np.argmax(counts)] if problem.unit == "accuracy" else np.median(targets)
        tests = [problem.clients[name].test[1] for name in sorted(problem.clients)]
        errors = [
            100.0 * (y == constant) if problem.unit == "accuracy" else np.abs(y - constant)
            for y in tests
        ]
        scores.append([float(e.mean()) for e in errors])
    sizes = [[len(p.clients[n].test[1]) for n in sorted(p.clients)] for p in problems]
    return Scores(
        np.asarray(scores)[:, None], np.asarray(sizes, np.float32), np.zeros(len(problems))
    )
