"""A study: methods x attacks x seeds on a small federation, every cell one compiled loop over all
seeds.

A cell is a configuration with the overrides of its method and its attack. Cells are written as they
are finished and are not run again, so that an interrupted study goes on where it stopped.
"""

import hashlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from fedbrain.data.problems import PROBLEMS, ClientData, Problem
from fedbrain.experiments.config import read_algorithm
from fedbrain.experiments.spec import at_least, choose, factories
from fedbrain.models import MODELS
from fedbrain.models.losses import LOSSES
from fedbrain.models.tabular import TABULAR
from fedbrain.models.task import make_task
from fedbrain.training.buffered import buffered
from fedbrain.training.in_memory import Clients, Plan, models, simulate
from fedbrain.types import ClientState, ServerState, Task


class Cell(NamedTuple):
    """One method under one attack."""

    method: str
    attack: str
    config: Any


class Scores(NamedTuple):
    """What a cell measured: an error (MAE) or an accuracy in %."""

    scores: np.ndarray  # [seeds, evaluations, clients]
    examples: np.ndarray  # [seeds, clients] test examples
    skipped: np.ndarray  # [seeds] rounds without an update


def cells(config: Any) -> Iterator[Cell]:
    """Every method under every attack: the study's own fields, then the attack's, then the
    method's; links are joined.
    """
    for attack, harm in config.attacks.items():
        for method, choice in config.methods.items():
            cell: Any = ConfigDict(config.to_dict())
            cell.lock()
            for name, fields in ((attack, harm), (method, choice)):
                try:
                    cell.update(fields)
                except (KeyError, TypeError, AttributeError) as error:
                    raise ValueError(
                        f"config: {name!r} sets a field that a study does not have: {error}"
                    ) from None
            server: Any = cell.server
            server.links = (*cell.attack, *server.links)  # pyright: ignore[reportAttributeAccessIssue]
            yield Cell(method, attack, cell)


def stacked(problems: list[Problem], part: str, label_flip: int) -> Clients:
    """Examples of all seeds, padded to one shape: [seeds, clients, n, ...].

    The last `label_flip` clients train on turned labels: largest + smallest - label.
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


def read_task(config: Any) -> Task:
    """The model and the loss of a study."""
    loss = choose("loss", config.loss, LOSSES)
    return make_task(choose("model", config.model, MODELS | TABULAR, outputs=loss.outputs), loss)


def scorer(task: Task, unit: str) -> Callable:
    """(variables with a leading clients axis, test data) -> score [clients]: MAE in the unit, or
    accuracy in %.
    """

    def score(variables, test: Clients):
        state = {k: v for k, v in variables.items() if k != "params"}
        batch = {"image": test.image, "target": test.target, "mask": test.mask}
        prediction, _ = task.evaluate(variables["params"], state, batch)
        each = (
            100.0 * (prediction == test.target)
            if unit == "accuracy"
            else jnp.abs(prediction - test.target)
        )
        return jnp.sum(each * test.mask) / jnp.maximum(test.mask.sum(), 1)

    return jax.vmap(score)


EVALUATED = {
    # each client's own model on its own test examples
    "personal": lambda algorithm, server, own, n: models(algorithm, server, own, n),
    # the server's model, the same for everybody
    "shared": lambda algorithm, server, own, n: jax.tree.map(
        lambda x: jnp.broadcast_to(x, (n, *x.shape)),
        {"params": server.params, **server.model_state},
    ),
}
CLOCKS = {"rounds": lambda: simulate, "buffered": buffered}
REGIMES = ("federated", "local", "centralised")


def run_cell(cell: Cell, problems: list[Problem], first_seed: int) -> Scores:
    """Trains a cell on every seed's split, all seeds side by side."""
    config = cell.config
    task = read_task(config)
    algorithm = read_algorithm(config, task)
    if config.regime not in REGIMES:
        raise ValueError(f"config.regime: expected one of {REGIMES}, got {config.regime!r}.")
    train = stacked(problems, "train", config.label_flip)
    test = stacked(problems, "test", 0)
    seeds, c = train.mask.shape[:2]
    groups = {"federated": (1, c), "local": (c, 1), "centralised": (1, 1)}[config.regime]
    data = jax.tree.map(lambda x: x.reshape(seeds, *groups, -1, *x.shape[3:]), train)
    tests_of_groups = jax.tree.map(
        lambda x: x.reshape(seeds, groups[0], c // groups[0], *x.shape[2:]), test
    )
    plan = read_plan(config, groups[1])
    evaluated_models = choose("evaluated", config.evaluated, factories(EVALUATED))
    score = scorer(task, problems[0].unit)
    clock = choose("clock", config.clock, CLOCKS)

    def one(data: Clients, tests_of_groups: Clients, seed: jax.Array):
        key = jax.random.key(seed)
        variables = task.init(key, data.image[0, :1])

        def evaluate(server: ServerState, own: ClientState):
            made = evaluated_models(algorithm, server, own, groups[1])
            copies = tests_of_groups.mask.shape[0] // groups[1]
            return score(
                jax.tree.map(lambda x: jnp.repeat(x, copies, axis=0), made), tests_of_groups
            )

        out = clock(algorithm, variables, data, plan, jax.random.fold_in(key, 1), evaluate=evaluate)
        return out.history, out.metrics["skipped"].sum()

    keys = first_seed + jnp.arange(seeds)
    history, skipped = jax.jit(jax.vmap(jax.vmap(one, (0, 0, None))))(data, tests_of_groups, keys)
    scores = np.moveaxis(np.asarray(history), 1, 2).reshape(seeds, history.shape[2], c)
    return Scores(scores, np.asarray(test.mask.sum(-1)), np.asarray(skipped).sum(-1))


def read_plan(config: Any, members: int) -> Plan:
    """How long, and who, for a federation of this many members."""
    rounds, every = at_least("rounds", config.rounds, 1), at_least("every", config.every, 1)
    if rounds % every:
        raise ValueError(f"config.every: expected a divisor of rounds={rounds}, got {every}.")
    steps = config.client.steps
    many = isinstance(steps, tuple)
    if many and len(steps) != members:
        raise ValueError(f"config.client.steps: expected one number or {members}, got {steps}.")
    steps = np.asarray(steps if many else [steps] * members)
    cohort = min(config.cohort or members, members)
    return Plan(
        rounds,
        at_least("client.batch_size", config.client.batch_size, 1),
        steps,
        cohort,
        config.drop_out,
        every,
    )


def draw(config: Any) -> list[Problem]:
    """The problem of every seed."""
    problem = choose("problem", config.problem, PROBLEMS)
    return [problem(config.seed + s) for s in range(at_least("seeds", config.seeds, 1))]


def fingerprint(problems: list[Problem]) -> str:
    """A digest of all examples: cells of other data are not taken for these."""
    digest = hashlib.sha256()
    for problem in problems:
        for name in sorted(problem.clients):
            digest.update(name.encode())
            for part in problem.clients[name]:
                for array in part:
                    digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def inner_problems(problems: list[Problem], folds: int) -> list[Problem]:
    """Every problem's training examples, cut into folds: [problem 0 without fold 0, problem 0
    without fold 1, ...].
    """
    made = []
    for number, problem in enumerate(problems):
        for fold in range(folds):
            clients = {}
            for name, client in problem.clients.items():
                x, y = client.train
                held = np.zeros(len(y), bool)
                held[np.random.default_rng([number, 0xF0]).permutation(len(y))[fold::folds]] = True
                clients[name] = ClientData((x[~held], y[~held]), (x[held], y[held]))
            made.append(problem._replace(clients=clients))
    return made


def own_choice(outer: list[Scores], inner: list[Scores], folds: int, better: int) -> Scores:
    """Each client uses the method that did best in cross-validation on its own training examples.

    Args:
      outer: of each method on the problems.
      inner: of each method on `inner_problems`.
      folds: of the cross-validation.
      better: 1 when large scores are good, else -1.
    """
    told = []
    for scores in inner:
        last = scores.scores[:, -1].reshape(-1, folds, scores.scores.shape[-1])
        n = scores.examples.reshape(last.shape)
        told.append(better * (last * n).sum(1) / n.sum(1))
    best = np.argmax(np.stack(told), axis=0)  # [seeds, clients]
    chosen = np.take_along_axis(np.stack([s.scores for s in outer]), best[None, :, None], axis=0)[0]
    return outer[0]._replace(scores=chosen, skipped=sum(s.skipped for s in outer) / len(outer))


def floor(problems: list[Problem]) -> Scores:
    """What a constant scores: the median of all training targets, or the commonest class."""
    every = []
    for problem in problems:
        targets = np.concatenate([c.train[1] for c in problem.clients.values()])
        values, counts = np.unique(targets, return_counts=True)
        constant = values[np.argmax(counts)] if problem.unit == "accuracy" else np.median(targets)
        tests = [problem.clients[name].test[1] for name in sorted(problem.clients)]
        errors = [
            100.0 * (y == constant) if problem.unit == "accuracy" else np.abs(y - constant)
            for y in tests
        ]
        every.append([float(e.mean()) for e in errors])
    sizes = [[len(p.clients[n].test[1]) for n in sorted(p.clients)] for p in problems]
    return Scores(
        np.asarray(every)[:, None], np.asarray(sizes, np.float32), np.zeros(len(problems))
    )
