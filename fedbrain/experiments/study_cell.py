"""One cell of a study: all seeds and all rounds in one compiled loop."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from fedbrain.aggregators.noise import with_seed
from fedbrain.data.problem import Problem
from fedbrain.experiments.study import Cell
from fedbrain.experiments.study_choices import read_cell
from fedbrain.training.in_memory import Clients
from fedbrain.training.simulate import simulate
from fedbrain.types import ClientState, ServerState, Task


class Scores(NamedTuple):
    """What a cell measured: an error (MAE) or an accuracy in %."""

    scores: Float[np.ndarray, "seeds evaluations clients"]  # of every client's test examples
    examples: Float[np.ndarray, "seeds clients"]  # test examples
    skipped: Float[np.ndarray, " seeds"]  # rounds without an update


def stack_examples(problems: list[Problem], part: str, label_flip: int) -> Clients:
    """Examples of all seeds, padded to one shape.

    Args:
      problems: the data of every seed.
      part: "train" or "test".
      label_flip: how many clients, the last ones, have turned labels: largest + smallest - label.

    Returns:
      Arrays [seeds, clients, n, ...].
    """
    every = [[getattr(p.clients[name], part) for name in sorted(p.clients)] for p in problems]
    longest = max(len(y) for examples in every for _, y in examples)
    low = min(float(y.min()) for examples in every for _, y in examples)
    high = max(float(y.max()) for examples in every for _, y in examples)

    def pad(x: np.ndarray) -> np.ndarray:
        return np.concatenate([x, np.zeros((longest - len(x), *x.shape[1:]), np.float32)])

    images, targets, masks = [], [], []
    for examples in every:
        images.append(np.stack([pad(x) for x, _ in examples]))
        flipped = [
            low + high - y if i >= len(examples) - label_flip else y
            for i, (_, y) in enumerate(examples)
        ]
        targets.append(np.stack([pad(y) for y in flipped]))
        masks.append(np.stack([pad(np.ones(len(y), np.float32)) for _, y in examples]))
    return Clients(*(jnp.asarray(np.stack(x)) for x in (images, targets, masks)))


def make_score(task: Task, unit: str) -> Callable:
    """Composes the score of a study.

    Args:
      task: model and loss.
      unit: "accuracy", or the unit of an error.

    Returns:
      (variables with a leading clients axis, test data) -> score [clients]: accuracy in %, or MAE
      in the unit.
    """

    def score(variables, test: Clients):
        state = {k: v for k, v in variables.items() if k != "params"}
        batch = {"image": test.image, "target": test.target, "mask": test.mask}
        prediction, _ = task.evaluate(variables["params"], state, batch)
        each = (
            100.0 * (jnp.argmax(prediction, axis=-1) == test.target)
            if unit == "accuracy"
            else jnp.abs(prediction - test.target)
        )
        return jnp.sum(each * test.mask) / jnp.maximum(test.mask.sum(), 1)

    return jax.vmap(score)


def run_cell(cell: Cell, problems: list[Problem], first_seed: int) -> Scores:
    """Trains a cell on the split of each of its seeds, all side by side.

    Args:
      cell: method and attack.
      problems: the data of every seed, of which the cell may run some.
      first_seed: seed of the first problem; the others follow.

    Raises:
      ValueError: naming the field of the configuration, for a choice that cannot be made.
    """
    numbers = range(len(problems)) if cell.seeds is None else cell.seeds
    problems = [problems[k] for k in numbers]
    task, algorithm, plan, clock, evaluated_models, federations, members, refine = read_cell(
        cell, problems[0]
    )
    train = stack_examples(problems, "train", cell.config.label_flip)
    test = stack_examples(problems, "test", 0)
    seeds, clients = train.mask.shape[:2]
    data = jax.tree.map(lambda x: x.reshape(seeds, federations, members, -1, *x.shape[3:]), train)
    # every federation is tested on the test examples of `tested` clients
    tested = clients // federations
    tests = jax.tree.map(lambda x: x.reshape(seeds, federations, tested, *x.shape[2:]), test)
    score = make_score(task, problems[0].unit)

    def train_federation(data: Clients, tests: Clients, seed: jax.Array):
        key = jax.random.key(seed)
        variables = task.init(key, data.image[0, :1])

        def evaluate(server: ServerState, own: ClientState):
            variables = evaluated_models(algorithm, server, own, members)
            repeated = jax.tree.map(lambda x: jnp.repeat(x, tested // members, axis=0), variables)
            return score(repeated, tests)

        plan_key = jax.random.fold_in(key, 1)
        # a run has a noise of its own, as it has a split and initial weights
        own_noise = algorithm._replace(init=lambda *of: with_seed(algorithm.init(*of), seed))
        how = {"evaluate": evaluate, "clock": clock, "refine": refine}
        out = simulate(own_noise, variables, data, plan, plan_key, **how)
        return out.history, out.metrics["skipped"].sum()

    over_federations = jax.vmap(train_federation, (0, 0, None))
    history, skipped = jax.jit(jax.vmap(over_federations))(
        data, tests, first_seed + jnp.asarray(numbers)
    )
    scores = np.moveaxis(np.asarray(history), 1, 2).reshape(seeds, history.shape[2], clients)
    return Scores(scores, np.asarray(test.mask.sum(-1)), np.asarray(skipped).sum(-1))
