"""The validation part of a small problem: some of each client's training examples.

    train_i = V_i + T_i,    |V_i| = ceil(|train_i| / parts)

A problem for tuning trains on T_i and is tested on V_i; the test examples are not in it. Features
are made comparable anew, by T_i alone.
"""

import numpy as np

from fedbrain.data.problem import ClientData, Examples, Problem

SEED = 0x7A  # of the choice of validation examples, beside that of the problem


def validation_problem(problem: Problem, seed: int, parts: int) -> Problem:
    """The same clients, with validation examples in place of the test.

    Copies that attackers have of validation examples leave their training part; attackers hold out
    nothing of their own. Where all clients are tested on the same examples, they are validated on
    the same: all that honest clients hold out.

    Args:
      problem: of one seed.
      seed: which examples are held out.
      parts: one in so many training examples of a client is held out, at least one.

    Raises:
      ValueError: for a client with fewer than `parts` training examples.
    """
    names = sorted(problem.drawn)
    honest = names[: len(names) - problem.attackers]
    rng = np.random.default_rng([seed, SEED])
    held, left = {}, {name: problem.drawn[name].train for name in names}
    for name in honest:
        held[name], left[name] = _cut(name, left[name], parts, rng)
    for name in names[len(honest) :]:
        left[name] = _without(left[name], held)
    if problem.one_test:
        features, targets = (np.concatenate(part) for part in zip(*held.values()))
        held = dict.fromkeys(names, (features, targets))
    clients = {name: ClientData(left[name], held[name]) for name in names}
    return problem._replace(clients=problem.finish(clients), drawn=clients)


def _cut(
    name: str, train: Examples, parts: int, rng: np.random.Generator
) -> tuple[Examples, Examples]:
    """(held out, left) of a client's training examples."""
    x, y = train
    if len(y) < parts:
        raise ValueError(
            f"config.tune.parts: expected at most the training examples of every client, got"
            f" {parts}, and {name} has {len(y)}."
        )
    chosen = np.zeros(len(y), bool)
    chosen[rng.permutation(len(y))[::parts]] = True
    return (x[chosen], y[chosen]), (x[~chosen], y[~chosen])


def _without(train: Examples, held: dict[str, Examples]) -> Examples:
    """Training examples without those that anybody holds out."""
    gone = {row.tobytes() for x, _ in held.values() for row in x}
    kept = np.array([row.tobytes() not in gone for row in train[0]], bool)
    return train[0][kept], train[1][kept]
