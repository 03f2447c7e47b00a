"""One cell of a study: all seeds and all rounds in one compiled loop."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from fedbrain.data.problems import Problem
from fedbrain.experiments.chosen_algorithm import read_algorithm
from fedbrain.experiments.spec import at_least, choose, factories
from fedbrain.experiments.study import Cell
from fedbrain.models import MODELS
from fedbrain.models.losses import LOSSES
from fedbrain.models.tabular import TABULAR
from fedbrain.models.task import make_task
from fedbrain.training.clocks import CLOCKS
from fedbrain.training.in_memory import Clients, Plan, models
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


def require_fitting_loss(config: Any, unit: str) -> None:
    """Refuses a loss of numbers for a problem of classes, and the reverse.

    Args:
      config: of a cell.
      unit: of the problem: "accuracy", or that of an error.

    Raises:
      ValueError: naming the field.
    """
    is_class = bool(choose("loss", config.loss, LOSSES).classes)
    if is_class != (unit == "accuracy"):
        wanted = "a number" if is_class else "a class"
        raise ValueError(
            f"config.loss: {config.loss} does not fit {config.problem}, whose target is {wanted}."
            " For classes, take cross_entropy(classes); for numbers, l1()."
        )


def read_task(config: Any) -> Task:
    """The model and the loss of a study.

    Args:
      config: of a cell.
    """
    loss = choose("loss", config.loss, LOSSES)
    return make_task(choose("model", config.model, MODELS | TABULAR, outputs=loss.outputs), loss)


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


EVALUATED = {
    # each client's own model on its own test examples
    "personal": lambda algorithm, server, own, n: models(algorithm, server, own, n),
    # the server's model, the same for everybody
    "shared": lambda algorithm, server, own, n: jax.tree.map(
        lambda x: jnp.broadcast_to(x, (n, *x.shape)),
        {"params": server.params, **server.model_state},
    ),
}
REGIMES = ("federated", "local", "centralised")


def federations_of(regime: str, clients: int) -> tuple[int, int]:
    """(number of federations, clients in each) of a regime.

    Args:
      regime: federated, local or centralised.
      clients: how many there are.

    Raises:
      ValueError: for an unknown regime.
    """
    if regime not in REGIMES:
        raise ValueError(f"config.regime: expected one of {REGIMES}, got {regime!r}.")
    return {"federated": (1, clients), "local": (clients, 1), "centralised": (1, 1)}[regime]


def run_cell(cell: Cell, problems: list[Problem], first_seed: int) -> Scores:
    """Trains a cell on every seed's split, all seeds side by side.

    Args:
      cell: method and attack.
      problems: the data of every seed.
      first_seed: seed of the first problem; the others follow.

    Raises:
      ValueError: naming the field of the configuration, for a choice that cannot be made.
    """
    config = cell.config
    require_fitting_loss(config, problems[0].unit)
    task = read_task(config)
    algorithm = read_algorithm(config, task)
    train = stack_examples(problems, "train", config.label_flip)
    test = stack_examples(problems, "test", 0)
    seeds, clients = train.mask.shape[:2]
    federations, members = federations_of(config.regime, clients)
    data = jax.tree.map(lambda x: x.reshape(seeds, federations, members, -1, *x.shape[3:]), train)
    # every federation is tested on the test examples of `tested` clients
    tested = clients // federations
    tests = jax.tree.map(lambda x: x.reshape(seeds, federations, tested, *x.shape[2:]), test)
    plan = read_plan(config, members)
    evaluated_models = choose("evaluated", config.evaluated, factories(EVALUATED))
    score = make_score(task, problems[0].unit)
    clock = choose("clock", config.clock, CLOCKS)

    def train_federation(data: Clients, tests: Clients, seed: jax.Array):
        key = jax.random.key(seed)
        variables = task.init(key, data.image[0, :1])

        def evaluate(server: ServerState, own: ClientState):
            variables = evaluated_models(algorithm, server, own, members)
            repeated = jax.tree.map(lambda x: jnp.repeat(x, tested // members, axis=0), variables)
            return score(repeated, tests)

        plan_key = jax.random.fold_in(key, 1)
        out = simulate(algorithm, variables, data, plan, plan_key, evaluate=evaluate, clock=clock)
        return out.history, out.metrics["skipped"].sum()

    over_federations = jax.vmap(train_federation, (0, 0, None))
    history, skipped = jax.jit(jax.vmap(over_federations))(
        data, tests, first_seed + jnp.arange(seeds)
    )
    scores = np.moveaxis(np.asarray(history), 1, 2).reshape(seeds, history.shape[2], clients)
    return Scores(scores, np.asarray(test.mask.sum(-1)), np.asarray(skipped).sum(-1))


def read_plan(config: Any, members: int) -> Plan:
    """How long, and who.

    Args:
      config: of a cell.
      members: clients of the federation.

    Raises:
      ValueError: for rounds or steps that do not fit.
    """
    rounds = at_least("rounds", config.rounds, 1)
    every = at_least("every", config.every, 1)
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
