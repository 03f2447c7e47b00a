"""What the configuration of a study chooses, cell by cell: read before the first cell is run."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fedbrain.aggregators.attacks.searching import Searching
from fedbrain.algorithms.arriving import arriving
from fedbrain.algorithms.server_data import REFINES, refining
from fedbrain.analysis.study_table import FLOOR, SCORES
from fedbrain.analysis.tuning_table import in_words
from fedbrain.data.problem import Problem
from fedbrain.experiments.chosen_algorithm import read_algorithm, read_links
from fedbrain.experiments.consistent import require_trained_body
from fedbrain.experiments.spec import choose, factories
from fedbrain.experiments.study import Cell, cells
from fedbrain.experiments.study_plan import read_plan, require_fitting_clock
from fedbrain.experiments.study_privacy import is_private, require_private_study
from fedbrain.experiments.study_ranges import is_tuned, trial_cells
from fedbrain.models import MODELS
from fedbrain.models.losses import LOSSES
from fedbrain.models.tabular import TABULAR
from fedbrain.models.task import make_task
from fedbrain.training.clocks import CLOCKS, Clock
from fedbrain.training.in_memory import Plan, models
from fedbrain.training.outline import outline
from fedbrain.training.simulate import Refine
from fedbrain.types import Algorithm, Task, Update


class Chosen(NamedTuple):
    """What a cell runs."""

    task: Task
    algorithm: Algorithm
    plan: Plan
    clock: Clock
    evaluated: Callable  # (algorithm, server, own, members) -> variables [members, ...]
    federations: int
    members: int  # clients of each
    refine: Refine | None  # after the server's step


def read_cell(cell: Cell, problem: Problem) -> Chosen:
    """Every field of a cell.

    Args:
      cell: method and attack.
      problem: the data of one seed; the others have as many clients.

    Raises:
      ValueError: naming the field of the configuration, for a choice that cannot be made.
    """
    config = cell.config
    require_fitting_loss(config, problem.unit)
    task = read_task(config)
    federations, members = federations_of(config.regime, len(problem.clients))
    names = sorted(problem.clients) if config.regime == "federated" else ()
    plan, clock = read_plan(config, members, names), choose("clock", config.clock, CLOCKS)
    require_fitting_clock(config.clock, clock, plan, members)
    trusted = config.server.trusted if config.regime == "federated" else None
    algorithm = read_algorithm(config, task, trusted=trusted)
    require_trained_body(config.algorithm, int(min(plan.steps)))
    change = choose("server.refine", config.server.refine, REFINES, task=task)
    if change and not plan.trusted:
        raise ValueError(
            "config.server.trusted: expected a client that is the server's own, on whose examples"
            f" config.server.refine={config.server.refine!r} works, got none."
        )
    lies, links = read_links(tuple(config.server.links))
    if change and any(isinstance(link, Searching) for link in links):
        raise ValueError(
            "config.server.links: expected no attack that searches beside config.server.refine="
            f"{config.server.refine!r}, since it searches against the rule alone."
        )
    kept = [link for link in links if not isinstance(link, Searching)]
    if is_private(config):
        require_private_study(config, problem, plan, sent_by(algorithm, task, problem))
    return Chosen(
        task,
        algorithm,
        plan,
        clock,
        choose("evaluated", config.evaluated, factories(EVALUATED)),
        federations,
        members,
        refining(change, algorithm, arriving(algorithm, lies, kept)),
    )


def sent_by(algorithm: Algorithm, task: Task, problem: Problem) -> Update:
    """The shapes of what a client sends.

    Args:
      algorithm: of the cell.
      task: network and loss.
      problem: the data of one seed.
    """
    x, y = next(iter(problem.clients.values())).train
    batch = {"image": x[:1], "target": y[:1], "mask": y[:1] * 0 + 1}
    variables = jax.eval_shape(task.init, jax.random.key(0), batch["image"])
    return outline(algorithm, variables, batch).update


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


def require_readable(config: Any, problem: Problem) -> None:
    """Refuses a study that would end in a mistake after hours of work.

    Args:
      config: of the study.
      problem: the data of one seed.

    Raises:
      ValueError: naming the field, and the method and attack that set it.
    """
    tuned = is_tuned(config)
    for cell in [*cells(config), *(trial_cells(config) if tuned else [])]:
        try:
            read_cell(cell, problem)
        except ValueError as error:
            tried = f" with {in_words(cell.settings)}" if cell.settings else ""
            raise ValueError(f"{cell.method} under {cell.attack}{tried}: {error}") from None
    if config.score not in SCORES:
        raise ValueError(f"config.score: expected one of {SCORES}, got {config.score!r}.")
    chosen = {name for options in config.choices.values() for name in options}
    require_methods("choices", chosen, set(config.methods))
    require_methods("tune.methods", set(config.tune.methods), set(config.methods))
    if tuned:
        _require_tunable(config)
    require_methods("against", set(config.against), {*config.methods, *config.choices, FLOOR})


def _require_tunable(config: Any) -> None:
    """Refuses what would choose by test examples, or twice."""
    if config.score == "best":
        raise ValueError(
            "config.score: expected 'last' or 'last_five' beside config.tune.trials, since 'best'"
            " chooses a round on test examples."
        )
    if config.choices:
        raise ValueError(
            "config.choices: expected none beside config.tune.trials, since clients would choose"
            f" among settings and then among methods, got {sorted(config.choices)}."
        )


def require_methods(field: str, names: set[str], known: set[str]) -> None:
    """Refuses names of lines that the table will not have.

    Args:
      field: that has them.
      names: of lines.
      known: lines that there will be.

    Raises:
      ValueError: with the unknown names.
    """
    if unknown := sorted(names - known):
        raise ValueError(f"config.{field}: expected some of {sorted(known)}, got {unknown}.")
